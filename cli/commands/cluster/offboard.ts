import { ClusterService } from "#proto/fleet/v1/cluster";
import { IssuerService } from "#proto/fleet/v1/issuer";
import { TokenService } from "#proto/fleet/v1/token";
import { FleetCommand } from "../../fleet-command.ts";
import { durationFlag, requiredArg, switchFlag } from "../../flags.ts";
import { namespaceFrom } from "../../onboard/flag-values.ts";
import { fleetFrom, kubeFlags } from "../../onboard/flags.ts";

const waitSeconds = 120;

export default class ClusterOffboard extends FleetCommand {
  static override summary = "Remove a cluster's agent, and take the cluster out of the fleet for good.";
  static override description =
    "Removes what cluster onboard made and nothing else, revokes its join tokens and retires its identity. The state on its nodes stays, and is of no use any more. The cluster's record and alerts are kept.";
  static override examples = [
    {
      description: "A cluster that leaves the fleet.",
      command: "<%= config.bin %> <%= command.id %> eu-prod-1 --context eu-prod-1",
    },
    {
      description: "See what would be removed.",
      command: "<%= config.bin %> <%= command.id %> eu-prod-1 --context eu-prod-1 --dry-run",
    },
  ];
  static override args = { cluster: requiredArg("Name of the cluster.") };
  static override flags = {
    ...kubeFlags,
    "dry-run": switchFlag("dry-run", "Show what would be removed; change nothing."),
    wait: durationFlag("wait", "How long to wait for the agents to end; 2m if not given."),
  };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(ClusterOffboard);
    const wanted = fleetFrom(flags);
    const clusters = await this.client(ClusterService, wanted);
    const tokens = await this.client(TokenService, wanted);
    const issuers = await this.client(IssuerService, wanted);
    // Loaded late: the Kubernetes client is large, and help needs none of it.
    const { openKube } = await import("../../onboard/kube.ts");
    const { offboard } = await import("../../onboard/offboard.ts");
    const options = {
      cluster: args.cluster,
      namespace: namespaceFrom(flags.namespace),
      dryRun: flags["dry-run"],
      waitMs: (flags.wait ?? waitSeconds) * 1000,
    };
    const ports = { kube: openKube(flags.context), clusters, tokens, issuers, screen: this.screen };
    const { steps, removed } = await offboard(options, ports);
    this.answerWith(
      flags.output,
      () => ({ cluster: args.cluster, steps: steps.map((step) => ({ ...step })), removed: [...removed] }),
      () =>
        flags["dry-run"]
          ? ["Would remove:", ...removed.map((object) => `  ${object}`)]
          : [`${args.cluster} is out of the fleet.`],
    );
  }
}
