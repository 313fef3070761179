import { randomBytes } from "node:crypto";
import { Code, ConnectError, type Client } from "@connectrpc/connect";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { V1Namespace, V1Pod } from "@kubernetes/client-node";
import type { Alert, AlertService } from "#proto/fleet/v1/alert";
import type { Cluster, ClusterService } from "#proto/fleet/v1/cluster";
import { Requirement_Operator } from "#proto/fleet/v1/common";
import type { IssuerService } from "#proto/fleet/v1/issuer";
import { Failure, refused } from "../failure.ts";
import { createSteps, type StepResult, type Warned } from "../local/steps.ts";
import { until, WaitError } from "../local/until.ts";
import { findCluster } from "../onboard/find-cluster.ts";
import { apiServersOf, controlPlaneOf } from "../onboard/gather-facts.ts";
import { readIssuer } from "../onboard/issuer.ts";
import { refusalOf } from "../onboard/kube-error.ts";
import type { Kube } from "../onboard/kube.ts";
import { clean } from "../output/text.ts";
import type { Screen } from "../screen.ts";
import { judgeApiServers, type ApiServersVerdict } from "./api-servers.ts";
import {
  conditionsOf,
  explainSilence,
  judgeAgents,
  judgeBundles,
  judgeIdentity,
  judgeKeys,
  latencyLines,
  timesOf,
  type Times,
  type Verdict,
} from "./hops.ts";

export interface DoctorOptions {
  readonly cluster: string;
  readonly namespace: string;
  /** The rule that notices the canary. */
  readonly rule: string;
  readonly waitMs: number;
}

export interface DoctorPorts {
  readonly kube: Kube;
  readonly clusters: Client<typeof ClusterService>;
  readonly alerts: Client<typeof AlertService>;
  readonly issuers: Client<typeof IssuerService>;
  readonly screen: Pick<Screen, "talk">;
  readonly signal: AbortSignal;
}

/** What came out. */
export interface Examined {
  readonly steps: readonly StepResult[];
  readonly auditId: string;
  readonly times: Times;
}

const pollMs = 1_000;
/** Clocks of clusters may be off by so much before their alerts are looked for in vain. */
const clocksOffMs = 3_600_000;

/**
 * Follows the whole way from a request to an alert: looks at what agents report, sends a request that harms nobody, and
 * waits until the alert about it is with the server. Ends at the first hop that fails, with what to do about it.
 */
export async function examine(options: DoctorOptions, ports: DoctorPorts): Promise<Examined> {
  const { kube, clusters, screen } = ports;
  const steps = createSteps(screen);
  let cluster: Cluster | undefined;
  await steps.run("the same cluster", async () => {
    const system = await kube.find<V1Namespace>("v1", "Namespace", "kube-system");
    cluster = await findCluster(clusters, options.cluster);
    return detailOf(judgeIdentity(cluster, options.cluster, system?.metadata?.uid ?? "", kube.context));
  });
  if (cluster === undefined) throw new Error("judgeIdentity() let nothing through");
  const known = cluster;
  const where = { context: kube.context, namespace: options.namespace };
  let nodes: readonly string[] = [];
  await steps.run("agents connected", async () => {
    nodes = await controlPlaneOf(kube);
    return detailOf(judgeAgents(known, nodes, where));
  });
  await steps.run("audit logs", async () => detailOf(judgeApiServers(await shownApiServers(kube), nodes)));
  await steps.run("bundles proved", () => Promise.resolve(detailOf(judgeBundles(known))));
  for (const line of await warningsOf(known, ports)) screen.talk(`warn ${clean(line)}\n`);

  const name = `falconry-canary-${randomBytes(6).toString("hex")}`;
  const sentMs = Date.now();
  let auditId = "";
  await steps.run("canary answered", async () => {
    const { code, auditId: id = "" } = await kube.canary(options.namespace, name);
    auditId = id;
    return `${code} for config map ${name}, ${id === "" ? "without an audit id" : `audit id ${id}`}`;
  });
  const answeredMs = Date.now();
  let times: Times | undefined;
  await steps.run("alert with the server", async () => {
    const alert = await awaitAlert(options, ports, { name, auditId, sentMs });
    times = timesOf(alert, { sentMs, answeredMs, seenMs: Date.now() });
    return `"${alert.rule}", ${alert.priority}`;
  });
  if (times === undefined) throw new Error("The step ended without an alert");
  for (const line of latencyLines(times)) screen.talk(`     ${line}\n`);
  return { steps: steps.results, auditId, times };
}

/** What does not keep a canary from coming through, and has to be mended all the same. */
async function warningsOf(cluster: Cluster, ports: DoctorPorts): Promise<readonly string[]> {
  const conditions = conditionsOf(cluster).map((line) => `${"condition".padEnd(39)} ${line}`);
  const keys = await keysOf(cluster, ports);
  return keys.ok
    ? conditions
    : [...conditions, `${"keys".padEnd(39)} ${[keys.why, ...keys.next].join("; ")}`];
}

/** Fine, too, for a cluster that does not vouch, and for whoever may not see whether it does. */
async function keysOf({ name }: Cluster, { kube, issuers }: DoctorPorts): Promise<Verdict> {
  try {
    const [trusted] = (await issuers.listIssuers({ clusterName: name })).issuers;
    if (trusted === undefined) return { ok: true, detail: "none are registered" };
    const { issuer, keys } = await readIssuer(kube);
    return judgeKeys(trusted, { issuer, keysDigest: keys.digest }, kube.context);
  } catch (error) {
    if (error instanceof ConnectError && error.code === Code.PermissionDenied) {
      return { ok: true, detail: "not looked at" };
    }
    if (!(error instanceof Failure)) throw error;
    return { ok: false, why: `The keys were not looked at: ${error.message}`, next: error.next };
  }
}

/** Undefined when the user may not see them. */
async function shownApiServers(kube: Kube): Promise<readonly V1Pod[] | undefined> {
  try {
    return await apiServersOf(kube);
  } catch (error) {
    if (error instanceof Failure && refusalOf(error.cause)?.code === 403) return undefined;
    throw error;
  }
}

function detailOf(verdict: Verdict): string;
function detailOf(verdict: ApiServersVerdict): string | Warned;
function detailOf(verdict: ApiServersVerdict): string | Warned {
  if (verdict.ok) return "warning" in verdict ? { warning: clean(verdict.warning) } : clean(verdict.detail);
  throw refused(clean(verdict.why), ...verdict.next);
}

interface Sent {
  readonly name: string;
  readonly auditId: string;
  readonly sentMs: number;
}

async function awaitAlert(
  { cluster, rule, waitMs }: DoctorOptions,
  { alerts, clusters, signal }: DoctorPorts,
  sent: Sent,
): Promise<Alert> {
  const requirement = { key: "cluster", operator: Requirement_Operator.IN, values: [cluster] };
  const filter = {
    selector: { requirements: [requirement] },
    rules: [rule],
    since: timestampFromMs(sent.sentMs - clocksOffMs),
  };
  const look = async () => {
    const { alerts: found } = await alerts.listAlerts({ filter, pageSize: 500 });
    const ours = found.find((alert) => isAbout(alert, sent));
    return ours === undefined ? { seen: `${found.length} others of "${rule}"` } : { done: ours };
  };
  try {
    return await until("the alert about the canary", waitMs, look, { pollMs, signal });
  } catch (error) {
    if (!(error instanceof WaitError)) throw error;
    const now = await findCluster(clusters, cluster);
    if (now === undefined) throw error;
    const verdict = explainSilence(now, rule);
    throw verdict.ok ? error : refused(`${error.message}. ${verdict.why}`, ...verdict.next);
  }
}

/** A proxy may take the audit id away; the name of the canary is in the alert of a rule that says it. */
function isAbout(alert: Alert, { auditId, name }: Sent): boolean {
  return (auditId !== "" && alert.auditId === auditId) || alert.body.includes(name);
}
