import type { Client } from "@connectrpc/connect";
import type { KubernetesObject, V1Namespace, V1Pod } from "@kubernetes/client-node";
import type { ClusterService } from "#proto/fleet/v1/cluster";
import type { IssuerService } from "#proto/fleet/v1/issuer";
import type { TokenService } from "#proto/fleet/v1/token";
import { refused } from "../failure.ts";
import { createSteps, type StepResult, type Warned } from "../local/steps.ts";
import { until, WaitError } from "../local/until.ts";
import { clean } from "../output/text.ts";
import type { Screen } from "../screen.ts";
import { objectText } from "./apply.ts";
import { findCluster } from "./find-cluster.ts";
import { deniedOf } from "./denied.ts";
import { placesNoted } from "./gather-programs.ts";
import { grantedNamespaces, roleHeaders } from "./granted.ts";
import type { Kube } from "./kube.ts";
import { passing } from "./passing.ts";
import { falcoProgram } from "./plan/falco.ts";
import { fluentBitProgram } from "./plan/fluent-bit.ts";
import { permissionText } from "./plan/permissions.ts";
import { bereaved } from "./plan/program.ts";
import { judgeRemoval, ownObjects, permissionsTo, permissionsToRemove, type Header } from "./plan/removal.ts";
import { objectNames, type PlacesBefore } from "./plan/settings.ts";
import { shellWord } from "./plan/shell-word.ts";
import { strangersIn } from "./plan/strangers.ts";
import { agentPods } from "./pods-before.ts";

/** What a person asked for. */
export interface OffboardOptions {
  readonly cluster: string;
  readonly namespace: string;
  readonly dryRun: boolean;
  readonly waitMs: number;
}

interface Ports {
  readonly kube: Kube;
  readonly clusters: Client<typeof ClusterService>;
  readonly tokens: Client<typeof TokenService>;
  readonly issuers: Client<typeof IssuerService>;
  readonly screen: Pick<Screen, "talk">;
}

/** How it went. */
export interface Offboarded {
  readonly steps: readonly StepResult[];
  /** What was removed, or would be: "DaemonSet falconry-agent". */
  readonly removed: readonly string[];
}

const pollMs = 500;
/** However long agents took: what keeps a namespace, it does not say at once. */
const namespaceMinMs = 3_000;

/**
 * Takes a cluster out of the fleet: removes what `onboard` made in it and nothing else, and retires its identity, so that
 * what is left on its nodes is of no use. Run again it goes on from where it was.
 */
export async function offboard(options: OffboardOptions, ports: Ports): Promise<Offboarded> {
  const { kube, clusters, screen } = ports;
  const steps = createSteps(screen);
  await steps.run("the same cluster", () => proveSame(options, ports));
  const unseen = await unseenKinds(options.namespace, kube);
  const places = unseen.includes("Service")
    ? { falco: [], fluentBit: [] }
    : await placesNoted(kube, options.namespace);
  const ours = await foundObjects(options, kube, places, unseen);
  const removed = ours.map(objectText);
  await steps.run("permissions", () => provePermissions(options, kube, ours));
  const programs = [...places.fluentBit.map(fluentBitProgram), ...places.falco.map(falcoProgram)];
  const warnings = [...unseen.map(unseenLine), ...bereaved(programs, ours, kube.context)];
  for (const line of warnings) screen.talk(`warn ${clean(line)}\n`);
  if (options.dryRun) return { steps: steps.results, removed };
  const endMs = Date.now() + options.waitMs;
  const leftMs = () => Math.max(0, endMs - Date.now());
  await steps.run("objects removed", async () => {
    for (const object of ours) await kube.remove(object);
    return removed.length === 0 ? "there were none" : removed.join(", ");
  });
  // While they end they still deliver what they have; who does not end in time is shut out all the same.
  await steps.run("agents gone", () => agentsGone(options.namespace, kube, leftMs()));
  await steps.run("join tokens revoked", () => revokeTokens(options, ports));
  await steps.run("issuers distrusted", () => distrustIssuers(options, ports));
  await steps.run("identity retired", async () => {
    const known = await findCluster(clusters, options.cluster);
    if (known === undefined) return "the fleet knows no cluster of this name";
    if (known.retiredAt === undefined) await clusters.retireCluster({ cluster: known.id });
    return `${known.name} (${known.id}); its record and alerts stay`;
  });
  await steps.run("namespace", () =>
    removeNamespace(options, kube, removed, Math.max(leftMs(), namespaceMinMs)),
  );
  return { steps: steps.results, removed };
}

/** Everything that is missing at once, and before anything was changed. */
async function provePermissions(
  { cluster, namespace }: OffboardOptions,
  kube: Kube,
  ours: readonly KubernetesObject[],
): Promise<string> {
  const room = await kube.find<V1Namespace>("v1", "Namespace", namespace);
  const removesNamespace = room !== undefined && judgeRemoval(room, cluster) === undefined;
  const denied = await deniedOf(kube, permissionsToRemove(namespace, ours, removesNamespace));
  if (denied.length === 0) return "all that is needed";
  throw refused(
    `Nothing was changed: the kubeconfig's user may not ${denied.map(permissionText).join("; ")}`,
    "Use a context whose user may: --context NAME",
  );
}

async function revokeTokens({ cluster }: OffboardOptions, { tokens }: Ports): Promise<string> {
  const open = (await tokens.listJoinTokens({})).tokens.filter(
    ({ clusterName, revokedAt }) => clusterName === cluster && revokedAt === undefined,
  );
  for (const { id } of open) await tokens.revokeJoinToken({ id });
  return open.length === 0 ? "there were none" : open.map(({ id }) => id).join(", ");
}

async function distrustIssuers({ cluster }: OffboardOptions, { issuers }: Ports): Promise<string> {
  const { issuers: trusted } = await issuers.listIssuers({ clusterName: cluster });
  for (const { id } of trusted) await issuers.distrustIssuer({ id });
  return trusted.length === 0 ? "there were none" : trusted.map(({ id }) => id).join(", ");
}

/** A kubeconfig that leads elsewhere must not retire a cluster that goes on. */
async function proveSame({ cluster }: OffboardOptions, { kube, clusters }: Ports): Promise<string> {
  const system = await kube.find<V1Namespace>("v1", "Namespace", "kube-system");
  const uid = system?.metadata?.uid ?? "";
  const known = await findCluster(clusters, cluster);
  if (known !== undefined && known.uid !== uid) {
    throw refused(
      `Context "${kube.context}" leads to another cluster than "${cluster}": its UID is ${uid}, and the fleet knows ${known.uid}`,
      "--context NAME   the one of this cluster",
      `fleetctl cluster retire ${cluster}   when the cluster is gone`,
    );
  }
  return `UID ${uid}`;
}

async function foundObjects(
  { cluster, namespace }: OffboardOptions,
  kube: Kube,
  places: PlacesBefore,
  unseen: readonly string[],
): Promise<readonly KubernetesObject[]> {
  const found: KubernetesObject[] = [];
  const granted = (await grantedNamespaces(kube, namespace)).flatMap(roleHeaders);
  for (const header of [...granted, ...ownObjects(namespace, places)]) {
    if (unseen.includes(header.kind)) continue;
    const object = await findServed(kube, header);
    if (object === undefined) continue;
    const why = judgeRemoval(object, cluster);
    if (why !== undefined) {
      throw refused(`${objectText(header)} in namespace ${header.metadata.namespace} ${why}`);
    }
    found.push(header);
  }
  return found;
}

/** Kinds that onboarding does without where its user may not have them: so does this, where it may not even look. */
async function unseenKinds(namespace: string, kube: Kube): Promise<readonly string[]> {
  const kinds = [
    "Service",
    ...((await kube.serves("monitoring.coreos.com", "v1")) ? ["ServiceMonitor"] : []),
  ];
  const headers = ownObjects(namespace, { falco: [], fluentBit: [] }).filter(({ kind }) =>
    kinds.includes(kind),
  );
  const asked = permissionsTo("get", namespace, headers);
  const denied = await deniedOf(kube, asked);
  return headers.flatMap(({ kind }, index) => (denied.some((each) => each === asked[index]) ? [kind] : []));
}

function unseenLine(kind: string): string {
  const more = kind === "Service" ? ", and with it what was made for Falco and Fluent Bit" : "";
  return `${kind} ${objectNames.agent} stays where it is there${more}: the kubeconfig's user may not look; run this again as somebody who may`;
}

/** A custom resource may be unknown to the cluster. */
async function findServed(kube: Kube, header: Header): Promise<KubernetesObject | undefined> {
  const { apiVersion, kind, metadata } = header;
  const [group = "", version] = apiVersion.split("/");
  if (kind === "ServiceMonitor" && !(await kube.serves(group, version ?? ""))) return undefined;
  return kube.find(apiVersion, kind, metadata.name, metadata.namespace);
}

async function agentsGone(namespace: string, kube: Kube, waitMs: number): Promise<string | Warned> {
  let left: readonly V1Pod[] = [];
  const look = () =>
    passing<string>(async () => {
      left = await agentPods(kube, namespace);
      return left.length === 0
        ? { done: "their state stays on the nodes, in /var/lib/falconry" }
        : { seen: `there: ${left.map(({ metadata }) => metadata?.name).join(", ")}` };
    });
  try {
    return await until("the agents' pods to end", waitMs, look, { pollMs });
  } catch (error) {
    if (!(error instanceof WaitError)) throw error;
    const who = left.map(({ metadata, spec }) => `${metadata?.name} on ${spec?.nodeName ?? "no node"}`);
    const names = left.map(({ metadata }) => metadata?.name).join(" ");
    const force = `kubectl --context ${shellWord(kube.context)} -n ${namespace} delete pod --force --grace-period=0 ${names}`;
    return {
      warning:
        left.length === 0
          ? error.message
          : `not yet: ${who.join(", ")}. On a node that is away a pod ends when the node is back, or, where it does not come back, by: ${force}`,
    };
  }
}

async function removeNamespace(
  { cluster, namespace }: OffboardOptions,
  kube: Kube,
  removed: readonly string[],
  waitMs: number,
): Promise<string | Warned> {
  const found = await kube.find<V1Namespace>("v1", "Namespace", namespace);
  if (found === undefined) return "gone before";
  const why = judgeRemoval(found, cluster);
  if (why !== undefined) return `"${namespace}" stays: it ${why}`;
  if (found.metadata?.deletionTimestamp === undefined) {
    const kept = await keptBy(namespace, kube, removed);
    if (kept !== undefined) return { warning: `"${namespace}" stays: ${kept}` };
    await kube.remove({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } });
  }
  return namespaceGone(namespace, kube, waitMs);
}

const namedMax = 10;

/** Why a namespace must not go: with it would go what others made there. */
async function keptBy(
  namespace: string,
  kube: Kube,
  removed: readonly string[],
): Promise<string | undefined> {
  const contents = await kube.contents(namespace);
  const services = removed.filter((each) => each.startsWith("Service ")).map((each) => each.slice(8));
  const strangers = strangersIn(contents, services);
  if (strangers.length > 0) return `it holds ${firstOf(strangers)}, which fleetctl did not make`;
  if (contents.unseen.length === 0) return undefined;
  return `what else is in it cannot be seen: ${firstOf(contents.unseen)}`;
}

function firstOf(texts: readonly string[]): string {
  const more = texts.length > namedMax ? ` and ${texts.length - namedMax} more` : "";
  return `${texts.slice(0, namedMax).join(", ")}${more}`;
}

/** A name that is not free yet could not be onboarded into. */
async function namespaceGone(namespace: string, kube: Kube, waitMs: number): Promise<string | Warned> {
  let why = "";
  const look = () =>
    passing<string>(async () => {
      const left = await kube.find<V1Namespace>("v1", "Namespace", namespace);
      if (left === undefined) return { done: `"${namespace}" removed, with nothing of others in it` };
      const holds = (left.status?.conditions ?? []).filter(({ status }) => status === "True");
      why = holds.map(({ message }) => message ?? "").join("; ");
      return { seen: why };
    });
  try {
    return await until(`namespace ${namespace} to end`, waitMs, look, { pollMs });
  } catch (error) {
    if (!(error instanceof WaitError)) throw error;
    const says = why === "" ? "the cluster does not say what keeps it" : why;
    return {
      warning: `"${namespace}" is being deleted, and nothing can be onboarded into it until it is gone: ${says}`,
    };
  }
}
