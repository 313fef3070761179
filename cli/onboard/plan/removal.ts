import type { KubernetesObject } from "@kubernetes/client-node";
import type { Permission } from "./permissions.ts";
import { falcoNames, falcoProgram } from "./falco.ts";
import { fluentBitProgram } from "./fluent-bit.ts";
import type { Program } from "./program.ts";
import { clusterAnnotation, objectNames, ownLabels } from "./settings.ts";
import type { PlacesBefore } from "./settings.ts";

/** Where an object is. */
export interface Header {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
}

/** Everything that onboarding may have made in a namespace, in the order to remove it: pods end before what they need. */
export function ownObjects(namespace: string, { falco, fluentBit }: PlacesBefore): readonly Header[] {
  const { agent, join, config } = objectNames;
  const kinds: readonly (readonly [apiVersion: string, kind: string, name: string])[] = [
    ["apps/v1", "DaemonSet", agent],
    ["monitoring.coreos.com/v1", "ServiceMonitor", agent],
    ["v1", "Service", agent],
    ["policy/v1", "PodDisruptionBudget", agent],
    ["networking.k8s.io/v1", "NetworkPolicy", agent],
    ["v1", "ConfigMap", config],
    ["v1", "Secret", join],
    ["v1", "ServiceAccount", agent],
  ];
  const headers = kinds.map(([apiVersion, kind, name]) => ({
    apiVersion,
    kind,
    metadata: { name, namespace },
  }));
  if (falco.length === 0) return headers;
  const programs = [...fluentBit.map(fluentBitProgram), ...falco.map(falcoProgram)];
  // The service says where the programs are, and so goes last: what ends half-way goes on from there.
  const alerts = { apiVersion: "v1", kind: "Service", metadata: { name: falcoNames.alerts, namespace } };
  return [...headers, ...programs.flatMap(madeFor), alerts];
}

/** What was made for a program. What it runs goes last: until then it keeps that of before. */
export function madeFor({ place, holds, object, role, service }: Program): readonly Header[] {
  const rbac = "rbac.authorization.k8s.io/v1";
  const kinds: readonly (readonly [apiVersion: string, kind: string, name: string])[] = [
    ["v1", "Service", service],
    [rbac, "RoleBinding", role],
    [rbac, "Role", role],
    ["coordination.k8s.io/v1", "Lease", object],
    ["v1", holds.kind, object],
  ];
  const { namespace } = place;
  return kinds.map(([apiVersion, kind, name]) => ({ apiVersion, kind, metadata: { name, namespace } }));
}

/** Why an object may not be removed for a cluster; undefined when it may. */
export function judgeRemoval({ metadata }: KubernetesObject, cluster: string): string | undefined {
  const isOurs = Object.entries(ownLabels).every(([key, value]) => metadata?.labels?.[key] === value);
  if (!isOurs) return "was not made by fleetctl";
  const holder = metadata?.annotations?.[clusterAnnotation];
  return holder === cluster ? undefined : `belongs to cluster "${holder}", not to "${cluster}"`;
}

/** What removing takes, everything before anything is removed: it must not end half-way. */
export function permissionsToRemove(
  namespace: string,
  found: readonly KubernetesObject[],
  removesNamespace: boolean,
): readonly Permission[] {
  return [
    ...permissionsTo("delete", namespace, found),
    needed("list", { apiVersion: "v1", kind: "Pod" }, namespace),
    ...(removesNamespace ? [needed("delete", { apiVersion: "v1", kind: "Namespace" })] : []),
  ];
}

/** What a verb takes for objects, where they are. */
export function permissionsTo(
  verb: string,
  namespace: string,
  objects: readonly KubernetesObject[],
): readonly Permission[] {
  return objects.map((object) => needed(verb, object, object.metadata?.namespace ?? namespace));
}

function needed(verb: string, { apiVersion = "", kind = "" }: KubernetesObject, where?: string): Permission {
  return {
    verb,
    group: apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : "",
    resource: pluralOf(kind),
    ...(where === undefined ? {} : { namespace: where }),
    isOptional: false,
  };
}

function pluralOf(kind: string): string {
  return kind.toLowerCase().replace(/y$/, "ie").concat("s");
}
