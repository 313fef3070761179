/** A kind that the API serves, and where. */
export interface Resource {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
}

const core = (kind: string, plural: string, namespaced = true): Resource => ({
  group: "",
  version: "v1",
  kind,
  plural,
  namespaced,
});

/** What every cluster serves, as far as anything here asks for it. */
export const builtIn: readonly Resource[] = [
  core("Namespace", "namespaces", false),
  core("Node", "nodes", false),
  core("Pod", "pods"),
  core("Secret", "secrets"),
  core("Service", "services"),
  core("ConfigMap", "configmaps"),
  core("Event", "events"),
  core("ServiceAccount", "serviceaccounts"),
  core("PersistentVolumeClaim", "persistentvolumeclaims"),
  { group: "apps", version: "v1", kind: "DaemonSet", plural: "daemonsets", namespaced: true },
  { group: "apps", version: "v1", kind: "Deployment", plural: "deployments", namespaced: true },
  { group: "apps", version: "v1", kind: "StatefulSet", plural: "statefulsets", namespaced: true },
  { group: "coordination.k8s.io", version: "v1", kind: "Lease", plural: "leases", namespaced: true },
  { group: "rbac.authorization.k8s.io", version: "v1", kind: "Role", plural: "roles", namespaced: true },
  {
    group: "rbac.authorization.k8s.io",
    version: "v1",
    kind: "RoleBinding",
    plural: "rolebindings",
    namespaced: true,
  },
  {
    group: "policy",
    version: "v1",
    kind: "PodDisruptionBudget",
    plural: "poddisruptionbudgets",
    namespaced: true,
  },
  { group: "batch", version: "v1", kind: "CronJob", plural: "cronjobs", namespaced: true },
  {
    group: "networking.k8s.io",
    version: "v1",
    kind: "NetworkPolicy",
    plural: "networkpolicies",
    namespaced: true,
  },
];

/** What a cluster serves where Prometheus Operator is installed. */
export const serviceMonitors: Resource = {
  group: "monitoring.coreos.com",
  version: "v1",
  kind: "ServiceMonitor",
  plural: "servicemonitors",
  namespaced: true,
};

export function apiVersionOf({ group, version }: Resource): string {
  return group === "" ? version : `${group}/${version}`;
}

/** A path of the API, taken apart. */
export interface Target {
  readonly resource: Resource;
  readonly namespace: string;
  /** Empty for a list. */
  readonly name: string;
  readonly subresource: string;
}

const pattern =
  /^\/(?:api\/(?<core>v1)|apis\/(?<group>[^/]+)\/(?<version>[^/]+))(?:\/namespaces\/(?<ns>[^/]+)(?=\/[a-z]))?\/(?<plural>[^/]+)(?:\/(?<name>[^/]+)(?:\/(?<sub>[^/]+))?)?$/;

/** Undefined for a path that leads to nothing this cluster serves. */
export function targetOf(path: string, served: readonly Resource[]): Target | undefined {
  const parts = pattern.exec(path)?.groups;
  if (parts === undefined) return undefined;
  const { group = "", version = "v1", ns = "", plural = "", name = "", sub = "" } = parts;
  const resource = served.find(
    (each) => each.group === group && each.version === version && each.plural === plural,
  );
  return resource === undefined ? undefined : { resource, namespace: ns, name, subresource: sub };
}
