import type { V1Role, V1RoleBinding, V1Volume } from "@kubernetes/client-node";
import type { ResponseAction } from "#trust";
import type { Permission } from "./permissions.ts";
import { clusterAnnotation, labelsBy, objectNames, podLabels } from "./settings.ts";
import type { ResponseGrant, Settings } from "./settings.ts";

/** The volume by which an agent that responds reaches kube-apiserver. */
export const kubeVolume = "kube";
/** An hour, which the kubelet renews in time. */
const tokenSeconds = 3_600;

/** A rule of a role. */
interface PolicyRule {
  readonly apiGroups: string[];
  readonly resources: string[];
  readonly verbs: string[];
}

const pods = (...verbs: string[]): PolicyRule => ({ apiGroups: [""], resources: ["pods"], verbs });

/** The least that each action takes. */
const rulesOf: Readonly<Record<ResponseAction, readonly PolicyRule[]>> = {
  webhook: [],
  label: [pods("get", "patch")],
  isolate: [
    pods("get", "patch"),
    { apiGroups: ["networking.k8s.io"], resources: ["networkpolicies"], verbs: ["create", "patch"] },
  ],
  "delete-pod": [pods("get", "delete")],
};

/** Whether agents need kube-apiserver for what they may do. */
export function asksKube({ responses }: Pick<Settings, "responses">): boolean {
  return (responses?.actions ?? []).some((action) => rulesOf[action].length > 0);
}

/** A role in each namespace where agents may respond, and in no other: nothing here is of the whole cluster. */
export function responseRoles(settings: Settings): readonly (V1Role | V1RoleBinding)[] {
  const { responses, namespace: home } = settings;
  if (responses === undefined || !asksKube(settings)) return [];
  const rules = merged(responses.actions.flatMap((action) => rulesOf[action]));
  return responses.namespaces.flatMap((namespace) => {
    const metadata = {
      name: objectNames.response,
      namespace,
      labels: { ...podLabels, ...labelsBy(settings.managedBy) },
      annotations: { [clusterAnnotation]: settings.cluster },
    };
    const group = "rbac.authorization.k8s.io";
    const role: V1Role = { apiVersion: `${group}/v1`, kind: "Role", metadata, rules };
    const binding: V1RoleBinding = {
      apiVersion: `${group}/v1`,
      kind: "RoleBinding",
      metadata,
      roleRef: { apiGroup: group, kind: "Role", name: objectNames.response },
      subjects: [{ kind: "ServiceAccount", name: objectNames.agent, namespace: home }],
    };
    return [role, binding];
  });
}

/** One rule for each resource, with the verbs of all. */
function merged(rules: readonly PolicyRule[]): PolicyRule[] {
  const byResource = new Map<string, PolicyRule>();
  for (const rule of rules) {
    const key = `${rule.apiGroups.join()}/${rule.resources.join()}`;
    const verbs = [...new Set([...(byResource.get(key)?.verbs ?? []), ...rule.verbs])].sort();
    byResource.set(key, { ...rule, verbs });
  }
  return [...byResource.values()];
}

/** The grant of one agent, when those of a cluster share what it may do within an hour. */
export function sharedBy(responses: ResponseGrant | undefined, agents: number): ResponseGrant | undefined {
  return (
    responses && { ...responses, perHour: Math.max(1, Math.floor(responses.perHour / Math.max(1, agents))) }
  );
}

/** The namespaces in which agents were granted something, and are granted nothing any more. */
export function staleNamespaces(
  granted: readonly string[],
  settings: Pick<Settings, "responses">,
): readonly string[] {
  const now = asksKube(settings) ? (settings.responses?.namespaces ?? []) : [];
  return granted.filter((namespace) => !now.includes(namespace));
}

/** What taking roles away asks of whoever onboards. */
export function permissionsToRevoke(namespaces: readonly string[]): readonly Permission[] {
  const group = "rbac.authorization.k8s.io";
  return namespaces.flatMap((namespace) =>
    ["rolebindings", "roles"].flatMap((resource) =>
      ["get", "delete"].map((verb) => ({ verb, group, resource, namespace, isOptional: false })),
    ),
  );
}

/** A token for kube-apiserver, and the CA to know it by. */
export function kubeVolumeOf(): V1Volume {
  const sources = [
    { serviceAccountToken: { expirationSeconds: tokenSeconds, path: "token" } },
    { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
  ];
  return { name: kubeVolume, projected: { defaultMode: 0o440, sources } };
}

/** What granting takes of whoever onboards. Nobody can grant what they have not, so those verbs are asked for too. */
export function permissionsToRespond(settings: Pick<Settings, "responses">): readonly Permission[] {
  if (settings.responses === undefined || !asksKube(settings)) return [];
  const { actions, namespaces } = settings.responses;
  const own = merged(actions.flatMap((action) => rulesOf[action])).flatMap(
    ({ apiGroups, resources, verbs }) =>
      verbs.map((verb) => ({ verb, group: apiGroups[0] ?? "", resource: resources[0] ?? "" })),
  );
  const granted = ["roles", "rolebindings"].flatMap((resource) =>
    ["create", "patch"].map((verb) => ({ verb, group: "rbac.authorization.k8s.io", resource })),
  );
  return namespaces.flatMap((namespace) =>
    [...granted, ...own].map((each) => ({ ...each, namespace, isOptional: false })),
  );
}
