import { type Issuer, IssuerService, ListIssuersResponseSchema } from "#proto/fleet/v1/issuer";
import { FleetCommand } from "../../fleet-command.ts";
import { textFlag } from "../../flags.ts";
import { type Column, renderTable } from "../../output/table.ts";
import { ageOf, labelsOf } from "../../views.ts";

export default class ClusterListIssuers extends FleetCommand {
  static override summary = "List the clusters that may vouch for their agents, newest first.";
  static override description = "With -o json also the join address and the audience that agents need.";
  static override examples = [
    { description: "Which clusters do.", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "By which keys one of them does, and who registered it.",
      command: "<%= config.bin %> <%= command.id %> --cluster eu-prod-1 -o wide",
    },
  ];
  static override flags = { cluster: textFlag("cluster", "Only of the cluster of this name.", "NAME") };

  override async run(): Promise<void> {
    const { flags } = await this.parse(ClusterListIssuers);
    const service = await this.client(IssuerService, flags);
    const response = await service.listIssuers({ clusterName: flags.cluster ?? "" });
    const { issuers } = response;
    this.answer(flags.output, ListIssuersResponseSchema, response, (wide) =>
      issuers.length === 0 ? [] : renderTable(issuers, columns(this.screen.now()), { wide }),
    );
    if (issuers.length > 0) return;
    this.talk("No issuer is trusted. To trust one: fleetctl cluster onboard NAME --join kubernetes");
  }
}

const columns = (now: number): readonly Column<Issuer>[] => [
  { title: "ID", cell: ({ id }) => id },
  { title: "CLUSTER", cell: ({ clusterName }) => clusterName },
  { title: "ISSUER", cell: ({ issuer }) => issuer },
  { title: "LABELS", cell: ({ labels }) => labelsOf(labels) },
  { title: "AGE", align: "right", cell: ({ createdAt }) => ageOf(createdAt, now) },
  { title: "UID", wide: true, cell: ({ clusterUid }) => clusterUid },
  { title: "SUBJECT", wide: true, cell: ({ subject }) => subject },
  { title: "KEYS", wide: true, cell: ({ keyIds }) => keyIds.join(",") },
  { title: "BY", wide: true, cell: ({ createdBy }) => createdBy },
];
