import type { Program } from "./program.ts";
import type { JoinKind } from "./settings.ts";

/** One question to a SelfSubjectAccessReview. */
export interface Permission {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  /** Undefined for the whole cluster. */
  readonly namespace?: string;
  /** Of what is no resource; group and resource are empty then. */
  readonly path?: string;
  /** Without it onboarding works, but is told less. */
  readonly isOptional: boolean;
}

interface Applied {
  readonly group: string;
  readonly resource: string;
}

const applied: readonly Applied[] = [
  { group: "", resource: "serviceaccounts" },
  { group: "", resource: "configmaps" },
  { group: "apps", resource: "daemonsets" },
  { group: "policy", resource: "poddisruptionbudgets" },
  { group: "networking.k8s.io", resource: "networkpolicies" },
];
const monitoring: readonly Applied[] = [
  { group: "", resource: "services" },
  { group: "monitoring.coreos.com", resource: "servicemonitors" },
];

/** Where kube-apiserver says who signs service-account tokens; the role system:service-account-issuer-discovery reads both. */
const issuerPaths = ["/.well-known/openid-configuration", "/openid/v1/jwks"] as const;

/**
 * What agents take besides that write for the pods of a program. Whoever gives a Role has to have what is in it, or the right to
 * escalate.
 */
export function permissionsForProgram({ place, holds }: Program): readonly Permission[] {
  const where = place.namespace;
  const held = { group: "", resource: holds.resource };
  const lease = { group: "coordination.k8s.io", resource: "leases" };
  const rbac = "rbac.authorization.k8s.io";
  const made = [
    held,
    { group: "", resource: "services" },
    lease,
    { group: rbac, resource: "roles" },
    { group: rbac, resource: "rolebindings" },
  ];
  const needed = (verb: string, what: Applied): Permission => ({
    verb,
    ...what,
    namespace: where,
    isOptional: false,
  });
  return [
    ...made.flatMap((each) => written(each, where)),
    needed("get", { group: "apps", resource: "daemonsets" }),
    needed("get", held),
    needed("get", lease),
    needed("update", lease),
  ];
}

/** What it takes besides to have Falco's alerts come to the agents, and to see what was made for it before. */
export function permissionsForAlerts(namespace: string): readonly Permission[] {
  const services = { group: "", resource: "services" };
  return [...written(services, namespace), { verb: "get", ...services, namespace, isOptional: false }];
}

/** What it takes to make the namespace, and to keep it as it is to be; nothing where it is somebody else's. */
export const permissionsToOwnNamespace: readonly Permission[] = ["create", "patch"].map((verb) => ({
  verb,
  group: "",
  resource: "namespaces",
  isOptional: false,
}));

/** What it takes to have Prometheus Operator scrape the agents. */
export function permissionsToBeScraped(namespace: string): readonly Permission[] {
  return monitoring.flatMap((each) => written(each, namespace));
}

/** What onboarding asks of the cluster, however it joins. */
export function permissionsFor(namespace: string): readonly Permission[] {
  const needed = (permission: Omit<Permission, "isOptional">): Permission => ({
    ...permission,
    isOptional: false,
  });
  const helpful = (permission: Omit<Permission, "isOptional">): Permission => ({
    ...permission,
    isOptional: true,
  });
  return [
    needed({ verb: "list", group: "", resource: "nodes" }),
    needed({ verb: "get", group: "", resource: "namespaces" }),
    ...applied.flatMap((each) => written(each, namespace)),
    needed({ verb: "get", group: "", resource: "configmaps", namespace }),
    needed({ verb: "get", group: "apps", resource: "daemonsets", namespace }),
    needed({ verb: "get", group: "networking.k8s.io", resource: "networkpolicies", namespace }),
    needed({ verb: "list", group: "", resource: "pods", namespace }),
    helpful({ verb: "list", group: "", resource: "pods", namespace: "kube-system" }),
    helpful({ verb: "list", group: "", resource: "pods" }),
    helpful({ verb: "list", group: "", resource: "events", namespace }),
    helpful({ verb: "get", group: "", resource: "pods", subresource: "log", namespace }),
  ];
}

/** What a way to join asks besides. */
export function permissionsToJoin(namespace: string, join: JoinKind): readonly Permission[] {
  if (join === "token") return written({ group: "", resource: "secrets" }, namespace);
  return issuerPaths.map((path) => ({ verb: "get", group: "", resource: "", path, isOptional: false }));
}

/** Server-side apply takes `patch`, and `create` for what is not there yet. */
function written(what: Applied, namespace: string): readonly Permission[] {
  return ["create", "patch"].map((verb) => ({ verb, ...what, namespace, isOptional: false }));
}

/** As `kubectl auth can-i` takes it: "create daemonsets.apps in namespace falconry". */
export function permissionText(permission: Permission): string {
  const { verb, group, resource, subresource, namespace, path } = permission;
  if (path !== undefined) return `${verb} ${path}`;
  const full = group === "" ? resource : `${resource}.${group}`;
  const what = subresource === undefined ? full : `${full}/${subresource}`;
  return namespace === undefined
    ? `${verb} ${what} in all namespaces`
    : `${verb} ${what} in namespace ${namespace}`;
}
