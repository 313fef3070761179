import { Args } from "../../oclif.ts";
import { ClusterSchema, ClusterService } from "#proto/fleet/v1/cluster";
import { present } from "../../answer.ts";
import { misused } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { labelsFrom, requiredArg } from "../../flags.ts";
import { labelsOf } from "../../views.ts";

export default class ClusterLabel extends FleetCommand {
  static override summary = "Set and remove labels of a cluster.";
  static override description =
    "Layers of the bundles see the new labels at once. A rollout that runs takes the cluster in when its selector matches now, and leaves it out when it no longer does before its turn; otherwise nothing is assigned by it.";
  static override examples = [
    {
      description: "Set the team and remove the label canary.",
      command: "<%= config.bin %> <%= command.id %> eu-3 team=payments canary-",
    },
    {
      description: "Move a cluster to another environment.",
      command: "<%= config.bin %> <%= command.id %> eu-3 environment=stage",
    },
  ];
  static override strict = false;
  static override args = {
    cluster: requiredArg("Name or id of the cluster."),
    labels: Args.string({
      required: true,
      ignoreStdin: true,
      description: "KEY=VALUE sets a label, KEY- removes it; several may be given.",
    }),
  };

  override async run(): Promise<void> {
    const { args, argv, flags } = await this.parse(ClusterLabel);
    const changes = (argv as string[]).slice(1);
    const remove = changes.filter((change) => /^[^=]+-$/.test(change)).map((change) => change.slice(0, -1));
    const set = labelsFrom(
      changes.filter((change) => !/^[^=]+-$/.test(change)),
      "label",
    );
    const both = remove.find((key) => Object.hasOwn(set, key));
    if (both !== undefined) throw misused(`Label "${both}" is both set and removed`);
    const service = await this.client(ClusterService, flags);
    const response = await service.labelCluster({ cluster: args.cluster, set, remove });
    const cluster = present(response.cluster, "cluster");
    this.answer(flags.output, ClusterSchema, cluster, () => [`${cluster.name}: ${labelsOf(cluster.labels)}`]);
    this.talk("Rollouts that run or begin see these labels; what the cluster is assigned stays as it is.");
  }
}
