import { GetTrustResponseSchema, type RoleStatus, TrustService } from "#proto/fleet/v1/trust";
import { rootPin } from "#trust";
import { FleetCommand } from "../../fleet-command.ts";
import { type Column, renderFields, renderTable } from "../../output/table.ts";
import { metadataOf } from "../../signing.ts";
import { leftOf } from "../../views.ts";

export default class TrustShow extends FleetCommand {
  static override summary = "Show who may sign what, and how long it still holds.";
  static override description =
    "Root and targets are signed by people, offline; snapshot and timestamp are renewed by the server itself.";
  static override examples = [
    { description: "Is anything about to expire?", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "The server's online keys.",
      command: "<%= config.bin %> <%= command.id %> -o json | jq .onlineKeys",
    },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(TrustShow);
    const service = await this.client(TrustService, flags);
    const trust = await service.getTrust({});
    const root = await metadataOf(service, "root");
    this.answer(flags.output, GetTrustResponseSchema, trust, (wide) => [
      ...renderFields([
        ["org", trust.org],
        ["root", root === undefined ? "none yet" : rootPin(root)],
        ...trust.onlineKeys.map((key) => [`${key.role} key`, key.keyId] as const),
      ]),
      ...(trust.roles.length === 0
        ? []
        : ["", ...renderTable(trust.roles, columns(this.screen.now()), { wide })]),
    ]);
    if (root === undefined) {
      this.talk("No cluster can join before there is a root. To make one: fleetctl trust init");
    }
  }
}

const columns = (now: number): readonly Column<RoleStatus>[] => [
  { title: "ROLE", cell: (role) => role.role },
  { title: "VERSION", align: "right", cell: (role) => `${role.version}` },
  { title: "LEFT", align: "right", cell: (role) => leftOf(role.expiresAt, now) },
  { title: "SIGNERS", cell: (role) => `${role.threshold} of ${role.keyIds.length}` },
  { title: "KEYS", wide: true, cell: (role) => role.keyIds.join(",") },
];
