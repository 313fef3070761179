import type { KubernetesObject } from "@kubernetes/client-node";

/** A kind whose objects are in namespaces, as the API says. */
export interface NamespacedKind {
  readonly apiVersion: string;
  readonly kind: string;
}

/** What is in a namespace, as far as it can be seen. */
export interface Contents {
  /** The kinds that the cluster knows. */
  readonly kinds: readonly NamespacedKind[];
  readonly objects: readonly KubernetesObject[];
  /** What could not be listed, and why not: "list widgets.example.com: ...". */
  readonly unseen: readonly string[];
}

/** Kinds that say something of others, or that an API makes up as it is asked. */
const passingKinds: readonly NamespacedKind[] = [
  { apiVersion: "v1", kind: "Event" },
  { apiVersion: "events.k8s.io", kind: "Event" },
  { apiVersion: "metrics.k8s.io", kind: "PodMetrics" },
  { apiVersion: "packages.operators.coreos.com", kind: "PackageManifest" },
];

/** What each namespace has anyhow, some of it on OpenShift or with Istio. */
const usual: Readonly<Record<string, readonly string[]>> = {
  ConfigMap: ["kube-root-ca.crt", "openshift-service-ca.crt", "istio-ca-root-cert"],
  ServiceAccount: ["default", "builder", "deployer"],
  RoleBinding: ["system:deployers", "system:image-builders", "system:image-pullers"],
};
const accountAnnotation = "kubernetes.io/service-account.name";

/** Whether objects of a kind say whether a namespace is anybody's. */
export function counts({ apiVersion, kind }: NamespacedKind): boolean {
  const group = groupOf(apiVersion);
  return !passingKinds.some((each) => each.kind === kind && groupOf(each.apiVersion) === group);
}

/**
 * What others made in a namespace, as "CronJob backup". What belongs to another object of a namespace is left out: that one is
 * here as well, or is gone and takes it along.
 */
export function strangersIn({ kinds, objects }: Contents, ownServices: readonly string[]): readonly string[] {
  const isNamespaced = (apiVersion: string, kind: string) =>
    kinds.some((each) => each.kind === kind && groupOf(each.apiVersion) === groupOf(apiVersion));
  const strangers = objects.filter(({ kind = "", metadata }) => {
    const { name = "", ownerReferences = [], annotations = {} } = metadata ?? {};
    if (usual[kind]?.includes(name) === true) return false;
    // The controller of endpoints takes them away a moment after their service.
    if (kind === "Endpoints" && ownServices.includes(name)) return false;
    const account = annotations[accountAnnotation];
    if (kind === "Secret" && account !== undefined && usual["ServiceAccount"]?.includes(account) === true) {
      return false;
    }
    return !ownerReferences.some((owner) => isNamespaced(owner.apiVersion, owner.kind));
  });
  // One object may be served by several groups.
  return [...new Set(strangers.map(({ kind, metadata }) => `${kind} ${metadata?.name}`))];
}

function groupOf(apiVersion: string): string {
  if (!apiVersion.includes("/")) return apiVersion === "v1" ? "" : apiVersion;
  return apiVersion.slice(0, apiVersion.indexOf("/"));
}
