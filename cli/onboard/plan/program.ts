import type {
  KubernetesObject,
  V1DaemonSet,
  V1Lease,
  V1NetworkPolicyEgressRule,
  V1Role,
  V1RoleBinding,
  V1Service,
} from "@kubernetes/client-node";
import { metaOf } from "./meta.ts";
import { objectNames } from "./settings.ts";
import type { ProgramPlace, Settings } from "./settings.ts";
import { shellWord } from "./shell-word.ts";

/** A program that runs as pods of a DaemonSet, and what agents need there to give it what it runs. */
export interface Program {
  readonly place: ProgramPlace;
  /** What agents write for it. */
  readonly holds: { readonly kind: "ConfigMap" | "Secret"; readonly resource: "configmaps" | "secrets" };
  /** Of the object that is written, and of its Lease. */
  readonly object: string;
  readonly role: string;
  /** Whose name has an address for each pod that is ready, and the port at which each is asked. */
  readonly service: string;
  readonly port: number;
  /** The labels that its own chart gives its pods. */
  readonly usualLabels: Readonly<Record<string, string>>;
}

/** What lets the agents write for the pods of a DaemonSet, and look at them: all of it in that namespace. */
export function programObjects(settings: Settings, program: Program): readonly KubernetesObject[] {
  const { place, object, role, service } = program;
  const meta = (name: string) => metaOf(settings, name, {}, place.namespace);
  // Made empty: the agent may change both and make neither, because the right to make cannot be limited to a name.
  const held = heldObject(settings, program);
  const lease: V1Lease = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: meta(object) };
  const found: V1Service = {
    apiVersion: "v1",
    kind: "Service",
    metadata: meta(service),
    spec: {
      // Its name has an address for each pod that is ready: agents find the pods by it, and need no right to list any.
      clusterIP: "None",
      selector: { ...(place.selector ?? program.usualLabels) },
      ports: [{ name: "web", port: program.port, protocol: "TCP", targetPort: program.port }],
    },
  };
  return [held, lease, roleOf(program, meta(role)), bindingOf(settings, role, meta(role)), found];
}

/** What agents write for the program, empty. */
export function heldObject(
  settings: Pick<Settings, "cluster" | "managedBy" | "namespace">,
  { place, holds, object }: Program,
): KubernetesObject {
  return {
    apiVersion: "v1",
    kind: holds.kind,
    metadata: metaOf(settings, object, {}, place.namespace),
    ...(holds.kind === "Secret" ? { type: "Opaque" } : {}),
  };
}

function roleOf({ place, holds, object }: Program, metadata: V1Role["metadata"]): V1Role {
  return {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "Role",
    metadata: metadata ?? {},
    rules: [
      { apiGroups: [""], resources: [holds.resource], resourceNames: [object], verbs: ["get", "patch"] },
      {
        apiGroups: ["coordination.k8s.io"],
        resources: ["leases"],
        resourceNames: [object],
        verbs: ["get", "update"],
      },
      { apiGroups: ["apps"], resources: ["daemonsets"], resourceNames: [place.daemonSet], verbs: ["get"] },
    ],
  };
}

function bindingOf(
  { namespace }: Settings,
  role: string,
  metadata: V1RoleBinding["metadata"],
): V1RoleBinding {
  return {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "RoleBinding",
    metadata: metadata ?? {},
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: role },
    subjects: [{ kind: "ServiceAccount", name: objectNames.agent, namespace }],
  };
}

/** Lets agents ask the pods of a program. */
export function askRule({ place, port }: Program): V1NetworkPolicyEgressRule {
  return {
    to: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": place.namespace } } }],
    ports: [{ protocol: "TCP", port }],
  };
}

/** So many places are remembered at most: whoever moves a program that often has the oldest ones to clear away. */
const placesMax = 20;

/** Places as `placesText()` writes them; what is none is left out. */
export function readPlaces(text: string | undefined): readonly ProgramPlace[] {
  const places = (text?.split(",") ?? []).slice(0, placesMax).map((each) => {
    const [namespace = "", daemonSet = ""] = each.split("/");
    return { namespace, daemonSet };
  });
  return places.filter(({ daemonSet }) => daemonSet !== "");
}

/** Where a program is and was, the last first: "ns/name,other/name". What is made in a namespace has the same names for every place in it. */
export function placesText(now: ProgramPlace | undefined, before: readonly ProgramPlace[]): string {
  const all = now === undefined ? before : [now, ...elsewhere(before, now)];
  return all.slice(0, placesMax).map(placeText).join(",");
}

/** Those in other namespaces than where the program is now. */
export function elsewhere(
  before: readonly ProgramPlace[],
  now: ProgramPlace | undefined,
): readonly ProgramPlace[] {
  return before.filter(({ namespace }) => namespace !== now?.namespace);
}

/** NAMESPACE/NAME of a DaemonSet. */
export function placeText({ namespace, daemonSet }: ProgramPlace): string {
  return `${namespace}/${daemonSet}`;
}

/** What a setting of the agents that are there says. */
export function settingOf(daemonSet: V1DaemonSet, wanted: string): string | undefined {
  const env = daemonSet.spec?.template.spec?.containers[0]?.env ?? [];
  return env.find(({ name }) => name === wanted)?.value;
}

/**
 * What becomes of programs when what they run is taken away, a line each. They go on with what they loaded until they start anew: a
 * Fluent Bit then finds no config and does not start.
 */
export function bereaved(
  programs: readonly Program[],
  removed: readonly KubernetesObject[],
  context: string,
): readonly string[] {
  return programs.flatMap(({ place, holds, object }, at) => {
    const { namespace, daemonSet } = place;
    const isOwn = ({ kind, metadata }: KubernetesObject) =>
      kind === holds.kind && metadata?.name === object && metadata.namespace === namespace;
    // Of several places in one namespace the last one has the object, and comes first.
    const isLater = programs
      .slice(0, at)
      .some((each) => each.object === object && each.place.namespace === namespace);
    if (isLater || !removed.some(isOwn)) return [];
    const restart = `kubectl --context ${shellWord(context)} -n ${namespace} rollout restart daemonset/${daemonSet}`;
    return holds.kind === "Secret"
      ? `Fluent Bit ${placeText(place)} loses its config: its pods ship on until they start anew, and then do not start at all. First take -c FILE out of the DaemonSet, or give it a config of yours; then: ${restart}`
      : `Falco ${placeText(place)} loses the fleet's rules: give it rules of yours in rules_files; then: ${restart}`;
  });
}
