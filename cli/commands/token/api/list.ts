import { type ApiToken, ListApiTokensResponseSchema, TokenService } from "#proto/fleet/v1/token";
import { FleetCommand } from "../../../fleet-command.ts";
import { type Column, renderTable } from "../../../output/table.ts";
import { renderScope } from "../../../selector.ts";
import { ageOf, leftOf } from "../../../views.ts";

export default class TokenApiList extends FleetCommand {
  static override summary = "List API tokens and logins, newest first.";
  static override description =
    "Shows who may do what, where and until when, and when each token was last used; never the secrets.";
  static override examples = [
    { description: "Who may call the server.", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "Tokens with the role admin.",
      command: `<%= config.bin %> <%= command.id %> -o json | jq '.tokens[] | select(.role == "admin")'`,
    },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(TokenApiList);
    const service = await this.client(TokenService, flags);
    const response = await service.listApiTokens({});
    this.answer(flags.output, ListApiTokensResponseSchema, response, (wide) =>
      renderTable(response.tokens, columns(this.screen.now()), { wide }),
    );
  }
}

const columns = (now: number): readonly Column<ApiToken>[] => [
  { title: "ID", cell: (token) => token.id },
  { title: "NAME", cell: (token) => token.name },
  { title: "ROLE", cell: (token) => token.role },
  { title: "SCOPE", cell: (token) => renderScope(token.scope) },
  { title: "STATE", cell: (token) => stateOf(token, now) },
  { title: "LEFT", align: "right", cell: (token) => leftOf(token.expiresAt, now) },
  { title: "LAST USED", align: "right", cell: (token) => ageOf(token.lastUsedAt, now) },
  { title: "AGE", align: "right", wide: true, cell: (token) => ageOf(token.createdAt, now) },
  { title: "BY", wide: true, cell: (token) => token.createdBy },
  { title: "ISSUER", wide: true, cell: (token) => token.issuer },
];

function stateOf(token: ApiToken, now: number): string {
  if (token.revokedAt !== undefined) return "revoked";
  return leftOf(token.expiresAt, now) === "expired" ? "expired" : "usable";
}
