import { AlertService } from "#proto/fleet/v1/alert";
import { ClusterService } from "#proto/fleet/v1/cluster";
import { IssuerService } from "#proto/fleet/v1/issuer";
import { FleetCommand } from "../../fleet-command.ts";
import { durationFlag, envOf, requiredArg } from "../../flags.ts";
import { Flags } from "../../oclif.ts";
import { namespaceFrom } from "../../onboard/flag-values.ts";
import { fleetFrom, kubeFlags } from "../../onboard/flags.ts";

const waitSeconds = 120;

export default class ClusterDoctor extends FleetCommand {
  static override summary = "See whether what happens in a cluster becomes an alert, hop by hop.";
  static override description =
    "Looks at what the cluster's agents report, and whether all kube-apiservers have the same audit flags, then asks kube-apiserver for a config map that is not there, and waits until the alert about that request is with the server. Says how long each hop took, or which one fails and what to do. Nothing is written; the rule that notices the canary is in the starter pack.";
  static override examples = [
    {
      description: "Does this cluster's audit log still arrive?",
      command: "<%= config.bin %> <%= command.id %> eu-prod-1 --context eu-prod-1",
    },
    {
      description: "For a monitor: exit code 0 when an alert came within half a minute.",
      command: "<%= config.bin %> <%= command.id %> eu-prod-1 --context eu-prod-1 --wait 30s -o json",
    },
  ];
  static override args = { cluster: requiredArg("Name of the cluster.") };
  static override flags = {
    ...kubeFlags,
    rule: Flags.string({
      summary: "The rule that notices the canary, where it has another name.",
      default: "Canary Request",
      helpValue: "NAME",
      env: envOf("rule"),
    }),
    wait: durationFlag("wait", "How long to wait for the alert; 2m if not given."),
  };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(ClusterDoctor);
    const wanted = fleetFrom(flags);
    const clusters = await this.client(ClusterService, wanted);
    const alerts = await this.client(AlertService, wanted);
    const issuers = await this.client(IssuerService, wanted);
    // Loaded late: the Kubernetes client is large, and help needs none of it.
    const { openKube } = await import("../../onboard/kube.ts");
    const { examine } = await import("../../doctor/doctor.ts");
    const { hopsOf } = await import("../../doctor/hops.ts");
    const options = {
      cluster: args.cluster,
      namespace: namespaceFrom(flags.namespace),
      rule: flags.rule,
      waitMs: (flags.wait ?? waitSeconds) * 1000,
    };
    const kube = openKube(flags.context);
    const { steps, auditId, times } = await this.screen.interruptible((signal) =>
      examine(options, { kube, clusters, alerts, issuers, screen: this.screen, signal }),
    );
    const hops = hopsOf(times);
    this.answerWith(
      flags.output,
      () => ({
        cluster: args.cluster,
        steps: steps.map((step) => ({ ...step })),
        auditId,
        hops: { ...hops },
      }),
      () => [`${args.cluster} is watched: an alert takes ${hops.altogetherMs} ms.`],
    );
  }
}
