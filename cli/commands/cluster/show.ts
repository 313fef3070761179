import type { Client } from "@connectrpc/connect";
import { ClusterSchema, ClusterService, type Rates } from "#proto/fleet/v1/cluster";
import { Requirement_Operator } from "#proto/fleet/v1/common";
import { present } from "../../answer.ts";
import { clusterLines } from "../../cluster-view.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { requiredArg } from "../../flags.ts";

export default class ClusterShow extends FleetCommand {
  static override summary = "Show one cluster with its agents, proofs and refusals.";
  static override description =
    "Says what the cluster is assigned, what its agents prove, and why an agent refused or failed.";
  static override examples = [
    {
      description: "Why a cluster does not take a bundle.",
      command: "<%= config.bin %> <%= command.id %> eu-3",
    },
    {
      description: "The digest of the rules that a cluster proves.",
      command: `<%= config.bin %> <%= command.id %> eu-3 -o json | jq -r '.running[].bundle.digest'`,
    },
  ];
  static override args = { cluster: requiredArg("Name or id of the cluster.") };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(ClusterShow);
    const service = await this.client(ClusterService, flags);
    const cluster = present((await service.getCluster({ cluster: args.cluster })).cluster, "cluster");
    const isForPeople = flags.output === "table" || flags.output === "wide";
    const day = isForPeople ? await ratesOfDay(service, cluster.name) : [];
    this.answer(flags.output, ClusterSchema, cluster, () =>
      clusterLines(cluster, day, this.screen.now(), this.screen.paint),
    );
  }
}

async function ratesOfDay(service: Client<typeof ClusterService>, name: string): Promise<readonly Rates[]> {
  const requirement = { key: "cluster", operator: Requirement_Operator.IN, values: [name] };
  const { series } = await service.getRates({ selector: { requirements: [requirement] }, minutes: 1440 });
  return series.flatMap((each) => each.rates);
}
