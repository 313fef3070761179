import type { V1DaemonSet, V1Namespace, V1Node, V1Pod } from "@kubernetes/client-node";
import { refused } from "../failure.ts";
import { deniedOf } from "./denied.ts";
import { placesNoted, programsFacts } from "./gather-programs.ts";
import { grantedNamespaces } from "./granted.ts";
import type { Kube } from "./kube.ts";
import type { Given } from "./lasting-flags.ts";
import { controlPlaneLabels, joinKindOf } from "./plan/daemon-set.ts";
import { falcoOf, falcoProgram, falcoRecordsOf } from "./plan/falco.ts";
import { fluentBitDataOf, fluentBitOf, fluentBitProgram } from "./plan/fluent-bit.ts";
import {
  permissionsFor,
  permissionsForAlerts,
  permissionsForProgram,
  permissionsToBeScraped,
  permissionsToJoin,
  permissionsToOwnNamespace,
  type Permission,
} from "./plan/permissions.ts";
import type { Facts, NamespaceFacts } from "./plan/preflight.ts";
import { placeText } from "./plan/program.ts";
import { permissionsToRespond, permissionsToRevoke, staleNamespaces } from "./plan/response.ts";
import { clusterAnnotation, objectNames, ownLabels } from "./plan/settings.ts";
import type { DriverKind, JoinKind, PlacesBefore, ProgramPlace, ResponseGrant } from "./plan/settings.ts";

const controlPlaneMax = 100;
/** Others that read audit logs, by the label that their charts set. */
const neighbours = ["falco", "fluent-bit"] as const;

/** Reads what the preflight judges. Changes nothing, and asks for nothing that the user may not see. */
export async function gatherFacts(
  kube: Kube,
  namespace: string,
  wanted: {
    readonly join: JoinKind | undefined;
    readonly driver: DriverKind | undefined;
    readonly falco: ProgramPlace | undefined;
    readonly fluentBit: ProgramPlace | undefined;
    readonly falcoRecords: string | undefined;
    readonly fluentBitData: string | undefined;
    readonly given: Pick<Given, "fluentBitData">;
    readonly responses: ResponseGrant | undefined;
  },
): Promise<Facts> {
  const version = await kube.version();
  const lacking = await deniedOf(kube, [...permissionsFor(namespace), ...permissionsToRespond(wanted)]);
  const may = (verb: string, resource: string, where?: string) =>
    !lacking.some((each) => each.verb === verb && each.resource === resource && each.namespace === where);
  const room =
    may("get", "namespaces") && may("get", "daemonsets", namespace)
      ? await namespaceFacts(kube, namespace)
      : undefined;
  const join = wanted.join ?? room?.joinsBy ?? "token";
  const falco = wanted.falco ?? (wanted.driver === "builtin" ? undefined : room?.falco);
  const fluentBit = wanted.fluentBit ?? (wanted.driver === undefined ? room?.fluentBit : undefined);
  const isKept = wanted.given.fluentBitData !== null && isSame(fluentBit, room?.fluentBit);
  const inPrograms = await deniedOf(kube, [
    ...(falco === undefined ? [] : permissionsForProgram(falcoProgram(falco))),
    ...(fluentBit === undefined ? [] : permissionsForProgram(fluentBitProgram(fluentBit))),
    ...(falco === undefined ? [] : permissionsForAlerts(namespace)),
  ]);
  const granted =
    room !== undefined && may("get", "configmaps", namespace) ? await grantedNamespaces(kube, namespace) : [];
  const later = [
    ...(room?.isOurs === false ? [] : permissionsToOwnNamespace),
    ...permissionsToJoin(namespace, join),
    ...permissionsToRevoke(staleNamespaces(granted, wanted)),
  ];
  const denied = [...lacking, ...(await deniedOf(kube, later)), ...inPrograms];
  return {
    context: kube.context,
    version,
    clusterUid: may("get", "namespaces") ? await clusterUidOf(kube) : "",
    denied,
    ...(await nodesFacts(kube, may("list", "nodes"))),
    apiServers: may("list", "pods", "kube-system") ? await apiServersOf(kube) : [],
    namespace: room,
    granted,
    lostNamespaces: may("get", "namespaces") ? await lostOf(kube, wanted.responses?.namespaces ?? []) : [],
    join,
    neighbours: may("list", "pods") ? await neighboursOf(kube) : [],
    ...(await monitoringFacts(kube, namespace)),
    ...(await programsFacts(kube, { falco, fluentBit }, inPrograms.length === 0)),
    falcoRecords: (wanted.falcoRecords ?? room?.falcoRecords) || undefined,
    fluentBitData: wanted.fluentBitData ?? (isKept ? room?.fluentBitData : undefined),
    before: await placesBefore(kube, namespace, room, inPrograms),
  };
}

/** Whether Prometheus Operator can be told of the agents. */
async function monitoringFacts(
  kube: Kube,
  namespace: string,
): Promise<Pick<Facts, "hasServiceMonitors" | "unmonitored">> {
  if (!(await kube.serves("monitoring.coreos.com", "v1"))) {
    return { hasServiceMonitors: false, unmonitored: [] };
  }
  const unmonitored = await deniedOf(kube, permissionsToBeScraped(namespace));
  return { hasServiceMonitors: true, unmonitored };
}

/** The static pods of kube-apiserver, as far as the API shows them. */
export function apiServersOf(kube: Kube): Promise<readonly V1Pod[]> {
  return kube.pods("component=kube-apiserver", controlPlaneMax, "kube-system");
}

/** Names of the nodes that run a control plane. */
export async function controlPlaneOf(kube: Kube): Promise<readonly string[]> {
  return (await controlPlaneNodes(kube)).map(nameOf);
}

async function nodesFacts(
  kube: Kube,
  maySee: boolean,
): Promise<Pick<Facts, "controlPlane" | "nodes" | "providerId">> {
  if (!maySee) return { controlPlane: [], nodes: [], providerId: "" };
  const nodes = await controlPlaneNodes(kube);
  const [anyNode] = await kube.nodes("", 1);
  return { controlPlane: nodes.map(nameOf), nodes, providerId: anyNode?.spec?.providerID ?? "" };
}

async function controlPlaneNodes(kube: Kube): Promise<readonly V1Node[]> {
  const nodes = new Map<string, V1Node>();
  for (const label of controlPlaneLabels) {
    for (const node of await kube.nodes(label, controlPlaneMax)) nodes.set(nameOf(node), node);
  }
  return [...nodes].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, node]) => node);
}

function isSame(one: ProgramPlace | undefined, other: ProgramPlace | undefined): boolean {
  return one !== undefined && other !== undefined && placeText(one) === placeText(other);
}

const nameOf = ({ metadata }: V1Node): string => metadata?.name ?? "";

/** Also where agents run bundles themselves again: what was made for others is still there then. */
async function placesBefore(
  kube: Kube,
  namespace: string,
  room: NamespaceFacts | undefined,
  inPrograms: readonly Permission[],
): Promise<PlacesBefore> {
  const none = { falco: [], fluentBit: [] };
  if (room === undefined || inPrograms.length > 0) return none;
  const [denied] = await deniedOf(
    kube,
    permissionsForAlerts(namespace).filter(({ verb }) => verb === "get"),
  );
  return denied === undefined ? placesNoted(kube, namespace) : none;
}

/** What a cluster is known by for as long as it lives. */
async function clusterUidOf(kube: Kube): Promise<string> {
  const found = await kube.find<V1Namespace>("v1", "Namespace", "kube-system");
  const uid = found?.metadata?.uid;
  if (uid !== undefined) return uid;
  throw refused(
    `The cluster of context "${kube.context}" has no namespace kube-system, whose UID tells clusters apart`,
  );
}

async function namespaceFacts(kube: Kube, name: string): Promise<NamespaceFacts | undefined> {
  const found = await kube.find<V1Namespace>("v1", "Namespace", name);
  if (found === undefined) return undefined;
  const { labels = {}, annotations = {} } = found.metadata ?? {};
  const isOurs = Object.entries(ownLabels).every(([key, value]) => labels[key] === value);
  const agent = await kube.find<V1DaemonSet>("apps/v1", "DaemonSet", objectNames.agent, name);
  const falco = agent === undefined ? undefined : falcoOf(agent);
  const fluentBit = agent === undefined ? undefined : fluentBitOf(agent);
  const falcoRecords = agent === undefined ? undefined : falcoRecordsOf(agent);
  const fluentBitData = agent === undefined ? undefined : fluentBitDataOf(agent);
  return {
    isOurs,
    isEnding: found.metadata?.deletionTimestamp !== undefined,
    cluster: isOurs ? annotations[clusterAnnotation] : undefined,
    enforces: labels["pod-security.kubernetes.io/enforce"],
    agentOf: agent?.metadata?.annotations?.[clusterAnnotation],
    joinsBy: agent === undefined ? undefined : joinKindOf(agent),
    ...(falco === undefined ? {} : { falco }),
    ...(fluentBit === undefined ? {} : { fluentBit }),
    ...(falcoRecords === undefined ? {} : { falcoRecords }),
    ...(fluentBitData === undefined ? {} : { fluentBitData }),
  };
}

/** Those of some namespaces that nothing can be made in. */
async function lostOf(kube: Kube, names: readonly string[]): Promise<readonly string[]> {
  const lost: string[] = [];
  for (const name of names) {
    const found = await kube.find<V1Namespace>("v1", "Namespace", name);
    if (found === undefined || found.metadata?.deletionTimestamp !== undefined) lost.push(name);
  }
  return lost;
}

async function neighboursOf(kube: Kube): Promise<readonly string[]> {
  const found = new Set<string>();
  for (const name of neighbours) {
    for (const { metadata } of await kube.pods(`app.kubernetes.io/name=${name}`, 100)) {
      found.add(`${name} in namespace ${metadata?.namespace}`);
    }
  }
  return [...found].sort();
}
