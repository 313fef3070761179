import { type JoinToken, ListJoinTokensResponseSchema, TokenService } from "#proto/fleet/v1/token";
import { FleetCommand } from "../../fleet-command.ts";
import { type Column, renderTable } from "../../output/table.ts";
import { ageOf, labelsOf, leftOf } from "../../views.ts";

export default class TokenList extends FleetCommand {
  static override summary = "List join tokens, newest first.";
  static override description = "Secrets are not stored, so they cannot be shown.";
  static override examples = [
    { description: "Which tokens can still be used.", command: "<%= config.bin %> <%= command.id %>" },
    { description: "With who made them and when.", command: "<%= config.bin %> <%= command.id %> -o wide" },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(TokenList);
    const service = await this.client(TokenService, flags);
    const response = await service.listJoinTokens({});
    this.answer(flags.output, ListJoinTokensResponseSchema, response, (wide) =>
      response.tokens.length === 0 ? [] : renderTable(response.tokens, columns(this.screen.now()), { wide }),
    );
    if (response.tokens.length === 0) {
      this.talk("There is no join token. To make one: fleetctl token create --region eu");
    }
  }
}

const columns = (now: number): readonly Column<JoinToken>[] => [
  { title: "ID", cell: (token) => token.id },
  { title: "STATE", cell: (token) => stateOf(token, now) },
  { title: "USES", align: "right", cell: (token) => `${token.uses}/${token.usesMax}` },
  { title: "LEFT", align: "right", cell: (token) => leftOf(token.expiresAt, now) },
  { title: "LABELS", cell: (token) => labelsOf(token.labels) },
  { title: "CLUSTER", cell: (token) => token.clusterName },
  { title: "UID", wide: true, cell: (token) => token.clusterUid },
  { title: "FROM", wide: true, cell: (token) => token.cidr },
  { title: "AGE", align: "right", wide: true, cell: (token) => ageOf(token.createdAt, now) },
  { title: "BY", wide: true, cell: (token) => token.createdBy },
];

function stateOf(token: JoinToken, now: number): string {
  if (token.revokedAt !== undefined) return "revoked";
  if (leftOf(token.expiresAt, now) === "expired") return "expired";
  return token.uses >= token.usesMax ? "used up" : "usable";
}
