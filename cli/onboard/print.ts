import { dumpYaml, type KubernetesObject } from "@kubernetes/client-node";

/** The objects as `kubectl apply -f -` takes them; begins with what whoever keeps the text has to know. */
export function printManifests(manifests: readonly KubernetesObject[]): string {
  const warning = manifests.some(({ kind }) => kind === "Secret") ? secretWarning : "";
  return `${warning}${manifests.map((manifest) => `---\n${dumpYaml(manifest, { noRefs: true })}`).join("")}`;
}

const secretWarning = `# This holds a secret: the join string, by which whoever has it can enrol as this cluster within its time and uses.
# Do not commit it. To take it back: fleetctl token list, fleetctl token revoke ID
`;
