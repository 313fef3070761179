import type { Access } from "./api.ts";

/** A rule of a Role, as far as anything here has one. */
export interface RoleRule {
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

/** What somebody may do who has the rules of one Role and nothing else. */
export function allowsBy(namespace: string, rules: readonly RoleRule[]): (access: Access) => boolean {
  return (access) =>
    access.namespace === namespace &&
    access.subresource === "" &&
    rules.some(
      ({ apiGroups = [], resources = [], resourceNames, verbs }) =>
        apiGroups.includes(access.group) &&
        resources.includes(access.resource) &&
        verbs.includes(access.verb) &&
        (resourceNames === undefined || (access.name !== undefined && resourceNames.includes(access.name))),
    );
}

/** What an agent needs that writes the config of the Fluent Bits of DaemonSet `fluent-bit`. */
export const fluentBitRules: readonly RoleRule[] = [
  {
    apiGroups: [""],
    resources: ["secrets"],
    resourceNames: ["falconry-fluent-bit"],
    verbs: ["get", "patch"],
  },
  {
    apiGroups: ["coordination.k8s.io"],
    resources: ["leases"],
    resourceNames: ["falconry-fluent-bit"],
    verbs: ["get", "update"],
  },
  { apiGroups: ["apps"], resources: ["daemonsets"], resourceNames: ["fluent-bit"], verbs: ["get"] },
];

/** What an agent needs that writes rules for the Falcos of DaemonSet `falco`: no more, and no less. */
export const falcoRules: readonly RoleRule[] = [
  {
    apiGroups: [""],
    resources: ["configmaps"],
    resourceNames: ["falconry-falco-rules"],
    verbs: ["get", "patch"],
  },
  {
    apiGroups: ["coordination.k8s.io"],
    resources: ["leases"],
    resourceNames: ["falconry-falco-rules"],
    verbs: ["get", "update"],
  },
  { apiGroups: ["apps"], resources: ["daemonsets"], resourceNames: ["falco"], verbs: ["get"] },
];
