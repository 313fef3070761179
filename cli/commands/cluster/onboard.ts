import { ClusterService } from "#proto/fleet/v1/cluster";
import { IssuerService } from "#proto/fleet/v1/issuer";
import { TokenService } from "#proto/fleet/v1/token";
import { FleetCommand } from "../../fleet-command.ts";
import { requiredArg } from "../../flags.ts";
import { fleetFrom, onboardFlags, onboardOptions } from "../../onboard/flags.ts";
import { endpointOf } from "../../onboard/plan/settings.ts";

export default class ClusterOnboard extends FleetCommand {
  static override summary = "Bring a Kubernetes cluster into the fleet, from its kubeconfig.";
  static override description =
    "Checks the cluster, makes a join token for it or trusts its issuer, applies the agent's objects and waits until every control-plane node has an agent that is enrolled, proves what is assigned and has seen an event of its audit log. Run again it goes on from where it was; what others own in the cluster it does not take.";
  static override examples = [
    {
      description: "A cluster of team payments.",
      command:
        "<%= config.bin %> <%= command.id %> eu-prod-1 --context eu-prod-1 --region eu --team payments --image NAME@sha256:DIGEST",
    },
    {
      description: "Without a secret: the cluster itself vouches for its agents.",
      command:
        "<%= config.bin %> <%= command.id %> eu-prod-1 --context eu-prod-1 --region eu --join kubernetes",
    },
    {
      description: "See whether it can be onboarded, and change nothing.",
      command: "<%= config.bin %> <%= command.id %> eu-prod-1 --context eu-prod-1 --region eu --dry-run",
    },
    {
      description: "Only the manifests, for somebody else to apply. With a token they hold a secret.",
      command:
        "(umask 077; <%= config.bin %> <%= command.id %> eu-prod-1 --region eu --print > falconry.yaml)",
    },
  ];
  static override args = { cluster: requiredArg("Name that the cluster shall have in the fleet.") };
  static override flags = onboardFlags;

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(ClusterOnboard);
    const isForPrograms = flags.output === "json" || flags.output === "yaml";
    const options = onboardOptions(args.cluster, flags);
    const wanted = fleetFrom(flags);
    const clusters = await this.client(ClusterService, wanted);
    const tokens = await this.client(TokenService, wanted);
    const issuers = await this.client(IssuerService, wanted);
    const server = endpointOf(await this.serverUrl(wanted));
    // Loaded late: the Kubernetes client is large, and help needs none of it.
    const { openKube } = await import("../../onboard/kube.ts");
    const { onboard } = await import("../../onboard/onboard.ts");
    const { objectText } = await import("../../onboard/apply.ts");
    const { printManifests } = await import("../../onboard/print.ts");
    const kube = openKube(flags.context);
    const { steps, manifests } = await this.screen.interruptible((signal) =>
      onboard(options, { kube, clusters, tokens, issuers, server, screen: this.screen, signal }),
    );
    if (flags.print) {
      this.screen.out(printManifests(manifests));
      if (!flags["dry-run"] && manifests.some(({ kind }) => kind === "Secret")) {
        this.talk(
          "What was printed holds a secret, good for an hour. Keep it from others and out of version control.",
        );
      }
      return;
    }
    const objects = manifests.map(objectText);
    this.answerWith(
      flags.output,
      () => ({ cluster: args.cluster, steps: steps.map((step) => ({ ...step })), objects }),
      () =>
        flags["dry-run"]
          ? ["Would apply:", ...objects.map((object) => `  ${object}`)]
          : [`${args.cluster} is in the fleet.`],
    );
    if (flags["dry-run"] || isForPrograms) return;
    this.talk(`To look at it: fleetctl cluster show ${args.cluster}`);
  }
}
