import type { V1Namespace } from "@kubernetes/client-node";
import { issuerKeysBytesMax } from "#trust";
import { IssuerService, TrustIssuerResponseSchema } from "#proto/fleet/v1/issuer";
import { refused, misused } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { requiredArg, textFlag } from "../../flags.ts";
import { joinLabelFlags, joinLabelsFrom } from "../../join-label-flags.ts";
import { readFileBounded } from "../../load-bundle.ts";
import { namespaceFrom } from "../../onboard/flag-values.ts";
import { fleetFrom, kubeFlags } from "../../onboard/flags.ts";
import { labelsOf } from "../../views.ts";

export default class ClusterTrustIssuer extends FleetCommand {
  static override summary = "Let a cluster vouch for its agents, by the keys of its service-account tokens.";
  static override description =
    "Registers who signs the cluster's service-account tokens, so that agents join without a secret. The keys are read through the kubeconfig, or from a file; the server fetches nothing. Takes the place of what was registered for the name before, and lets revoked agents of the cluster come back. Prints the join address for agents, which is no secret. cluster onboard --join kubernetes does it by itself.";
  static override examples = [
    {
      description: "After the cluster's keys were replaced, or for agents that something else installs.",
      command: "<%= config.bin %> <%= command.id %> eu-prod-1 --context eu-prod-1 --region eu",
    },
    {
      description: "Without a kubeconfig: keys from kubectl get --raw /openid/v1/jwks.",
      command:
        "<%= config.bin %> <%= command.id %> eu-prod-1 --region eu --cluster-uid UID --issuer https://kubernetes.default.svc.cluster.local --jwks jwks.json",
    },
  ];
  static override args = { cluster: requiredArg("Name that the cluster has, or shall have, in the fleet.") };
  static override flags = {
    ...kubeFlags,
    ...joinLabelFlags,
    jwks: {
      ...textFlag("jwks", "Key set of the issuer, instead of asking the cluster.", "FILE"),
      dependsOn: ["issuer", "cluster-uid"],
    },
    issuer: {
      ...textFlag("issuer", "With --jwks: what tokens say in iss.", "URL"),
      dependsOn: ["jwks"],
    },
    "cluster-uid": {
      ...textFlag("cluster-uid", "With --jwks: UID of the namespace kube-system.", "UID"),
      dependsOn: ["jwks"],
    },
  };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(ClusterTrustIssuer);
    const labels = joinLabelsFrom(flags);
    const namespace = namespaceFrom(flags.namespace);
    const { jwks, issuer = "", "cluster-uid": uid = "" } = flags;
    const found =
      jwks === undefined
        ? await this.#readFrom(flags.context)
        : { jwks: await keySetIn(jwks), issuer, clusterUid: uid };
    const issuers = await this.client(IssuerService, fleetFrom(flags));
    const response = await issuers.trustIssuer({ clusterName: args.cluster, labels, namespace, ...found });
    this.answer(flags.output, TrustIssuerResponseSchema, response, () => [response.joinAddress]);
    const { issuer: trusted, audience } = response;
    if (trusted === undefined) return;
    this.talk(
      `Trusted ${trusted.id}: ${trusted.issuer}, keys ${trusted.keyIds.join(", ")}, for ${trusted.subject} of ${args.cluster} (UID ${trusted.clusterUid}), labels ${labelsOf(trusted.labels)}.`,
      `The join address is no secret. Agents need a service-account token for "${audience}" beside it. To take it back: fleetctl cluster distrust-issuer ${trusted.id}`,
    );
  }

  async #readFrom(context: string | undefined) {
    // Loaded late: the Kubernetes client is large, and help needs none of it.
    const { openKube } = await import("../../onboard/kube.ts");
    const { readIssuer } = await import("../../onboard/issuer.ts");
    const kube = openKube(context);
    const { issuer, jwks } = await readIssuer(kube);
    const system = await kube.find<V1Namespace>("v1", "Namespace", "kube-system");
    const clusterUid = system?.metadata?.uid;
    if (clusterUid === undefined) {
      throw refused(`The cluster of context "${kube.context}" has no namespace kube-system with a UID`);
    }
    return { issuer, jwks, clusterUid };
  }
}

async function keySetIn(file: string): Promise<string> {
  const { keysIn } = await import("../../onboard/issuer.ts");
  const text = Buffer.from(await readFileBounded(file, issuerKeysBytesMax)).toString("utf8");
  if (text.trim() === "") {
    throw misused(`${file} is empty`, `kubectl get --raw /openid/v1/jwks > ${file}`);
  }
  keysIn(text, file);
  return text;
}
