import { ClusterSchema, ClusterService } from "#proto/fleet/v1/cluster";
import { present } from "../../answer.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { requiredArg } from "../../flags.ts";

export default class ClusterRetire extends FleetCommand {
  static override summary = "Take a cluster out of the fleet for good.";
  static override description =
    "Its agents' identities are refused from now on; its record and its alerts are kept. It cannot come back under its name or with its UID; a cluster built anew can enrol under another name.";
  static override examples = [
    { description: "A cluster that was torn down.", command: "<%= config.bin %> <%= command.id %> us-2" },
    {
      description: "By id, from a script.",
      command: "<%= config.bin %> <%= command.id %> cl_4k2j -o json",
    },
  ];
  static override args = { cluster: requiredArg("Name or id of the cluster.") };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(ClusterRetire);
    const service = await this.client(ClusterService, flags);
    const cluster = present((await service.retireCluster({ cluster: args.cluster })).cluster, "cluster");
    this.answer(flags.output, ClusterSchema, cluster, () => [`Retired ${cluster.name} (${cluster.id}).`]);
    this.talk("Its agents keep running their last bundle until they are removed from the cluster.");
  }
}
