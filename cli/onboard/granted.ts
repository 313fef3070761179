import type { KubernetesObject, V1ConfigMap } from "@kubernetes/client-node";
import type { Kube } from "./kube.ts";
import { judgeRemoval, type Header } from "./plan/removal.ts";
import { objectNames } from "./plan/settings.ts";

const namespacesMax = 200;

/** The namespaces in which the agents that are there may respond to alerts, by the allow-list that they were given. */
export async function grantedNamespaces(kube: Kube, namespace: string): Promise<readonly string[]> {
  const found = await kube.find<V1ConfigMap>("v1", "ConfigMap", objectNames.config, namespace);
  let allowed: unknown;
  try {
    allowed = JSON.parse(found?.data?.["allow.json"] ?? "{}");
  } catch {
    return [];
  }
  const { responses } = (allowed ?? {}) as { responses?: { namespaces?: unknown } };
  const names = responses?.namespaces;
  if (!Array.isArray(names)) return [];
  return names.filter((name): name is string => typeof name === "string").slice(0, namespacesMax);
}

/** The role of responses in a namespace, and what binds it: the binding goes first. */
export function roleHeaders(namespace: string): readonly Header[] {
  const apiVersion = "rbac.authorization.k8s.io/v1";
  const metadata = { name: objectNames.response, namespace };
  return ["RoleBinding", "Role"].map((kind) => ({ apiVersion, kind, metadata }));
}

/** Takes away what agents were granted before in some namespaces. */
export async function revokeRoles(kube: Kube, cluster: string, namespaces: readonly string[]): Promise<void> {
  for (const header of namespaces.flatMap(roleHeaders)) {
    const found = await kube.find<KubernetesObject>(
      header.apiVersion,
      header.kind,
      header.metadata.name,
      header.metadata.namespace,
    );
    if (found !== undefined && judgeRemoval(found, cluster) === undefined) await kube.remove(header);
  }
}
