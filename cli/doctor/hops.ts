import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Alert } from "#proto/fleet/v1/alert";
import type { Cluster } from "#proto/fleet/v1/cluster";
import { BundleKind } from "#proto/fleet/v1/common";
import type { Issuer } from "#proto/fleet/v1/issuer";
import { shellWord } from "../onboard/plan/shell-word.ts";
import { proofsOf, proofText } from "../onboard/progress.ts";

/** What a hop came to: fine, or what is wrong and what to do. */
export type Verdict =
  | { readonly ok: true; readonly detail: string }
  | { readonly ok: false; readonly why: string; readonly next: readonly string[] };

const fine = (detail: string): Verdict => ({ ok: true, detail });
const wrong = (why: string, ...next: readonly string[]): Verdict => ({ ok: false, why, next });

/** Whether the context leads to the cluster that the fleet means. */
export function judgeIdentity(
  known: Cluster | undefined,
  name: string,
  uid: string,
  context: string,
): Verdict {
  if (known === undefined) {
    return wrong(
      `The fleet knows no cluster "${name}"`,
      `fleetctl cluster onboard ${name} --context ${shellWord(context)} --region REGION`,
    );
  }
  if (known.retiredAt !== undefined) return wrong(`"${name}" was retired, and nothing watches it`);
  if (known.uid === uid) return fine(`UID ${uid}`);
  return wrong(
    `Context "${context}" leads to another cluster than "${name}": its UID is ${uid}, and the fleet knows ${known.uid}`,
    "--context NAME   the one of this cluster",
  );
}

/** Where the agents of a cluster run. */
export interface Where {
  /** Of the kubeconfig. */
  readonly context: string;
  readonly namespace: string;
}

/** Whether somebody is there on every node that writes an audit log. */
export function judgeAgents({ name, agents }: Cluster, nodes: readonly string[], where: Where): Verdict {
  const wanted = nodes.length > 0 ? nodes : agents.map((agent) => agent.name);
  const connected = agents.filter(({ transport }) => transport !== "").map((agent) => agent.name);
  const missing = wanted.filter((node) => !connected.includes(node));
  if (connected.length > 0 && missing.length === 0) return fine(`connected: ${connected.join(", ")}`);
  const who = missing.length === 0 ? "no agent is" : `${missing.join(", ")}: not`;
  return wrong(
    `${who} connected, and what is written there nobody sees`,
    `kubectl --context ${shellWord(where.context)} -n ${where.namespace} get pods -o wide   shows whether they run; their log says why they are away`,
    `fleetctl cluster onboard ${name} ...   brings in nodes that came later`,
  );
}

/** Whether the agents run rules and read something. */
export function judgeBundles(cluster: Cluster): Verdict {
  const { name, assignment } = cluster;
  const lacking = [
    ...(assignment?.shipper === undefined ? ["shipper"] : []),
    ...(assignment?.rules === undefined ? ["rules"] : []),
  ];
  if (lacking.length > 0) {
    return wrong(
      `No ${lacking.join(" and no ")} bundle is assigned`,
      ...lacking.map((kind) => `fleetctl rollout ${kind} --cluster ${name}`),
    );
  }
  const { assigned, unproved } = proofsOf(cluster);
  if (unproved.length === 0) return fine(assigned.join(", "));
  return wrong(
    proofText(cluster, unproved),
    `fleetctl cluster show ${name}   says what was tried, and why it failed`,
  );
}

/** What agents say is wrong right now, a line each. */
export function conditionsOf({ agents }: Cluster): readonly string[] {
  return agents.flatMap(({ name, conditions }) =>
    conditions.map(({ code, message }) => `${name}: ${code}: ${message}`),
  );
}

/** Whether agents can still join by the word of the cluster: its keys may have been replaced since they were registered. */
export function judgeKeys(
  { clusterName, id, issuer, keysDigest }: Issuer,
  now: { readonly issuer: string; readonly keysDigest: string },
  context: string,
): Verdict {
  if (issuer === now.issuer && keysDigest === now.keysDigest) return fine(`${id}: as they were registered`);
  const what = issuer === now.issuer ? "by other keys" : `as "${now.issuer}"`;
  return wrong(
    `The cluster signs ${what} than ${id} was registered with, so that no agent can join by its word`,
    `fleetctl cluster trust-issuer ${clusterName} --context ${shellWord(context)} --region REGION`,
  );
}

/** What to look at when no alert came, by what the agents say that they read. */
export function explainSilence(cluster: Cluster, rule: string): Verdict {
  const { name, rates } = cluster;
  if (rates === undefined || rates.events === 0n) {
    return wrong(
      `No alert came, and the agents ${rates === undefined ? "told no rates" : "read no event in the last minute"}: either kube-apiserver writes nothing, or they read another file`,
      "On the node: tail -n 1 FILE of --audit-log-path; when nothing is there: fleetctl cluster audit-setup",
      `fleetctl cluster show ${name}   shows conditions of the inputs`,
    );
  }
  const digest =
    cluster.running.find(({ bundle }) => bundle?.kind === BundleKind.RULES)?.bundle?.digest ?? "";
  return wrong(
    `No alert came, but the agents read ${rates.events} events in a minute, the oldest ${rates.lagMs} ms late`,
    `Is "${rule}" in the rules? fleetctl bundle show ${digest}; the starter pack has it, and --rule names another`,
    "Does the audit policy write reads of config maps at level Metadata or above? Ours does: fleetctl cluster audit-setup",
    ...(rates.lagMs > 60_000n ? ["They are behind: try again with a longer --wait"] : []),
  );
}

/** When what happened, in milliseconds since 1970. Each hop has its own clock. */
export interface Times {
  /** This machine's clock. */
  readonly sentMs: number;
  readonly answeredMs: number;
  readonly seenMs: number;
  /** kube-apiserver's. */
  readonly writtenMs: number;
  /** The server's. */
  readonly receivedMs: number;
  /** The agent's clock; undefined when another program runs the rules, or the agent is older. */
  readonly agent?: AgentTimes;
}

/** When the canary's record was read, a rule matched it, and its alert was sent to the server. */
export interface AgentTimes {
  readonly readMs: number;
  readonly matchedMs: number;
  readonly sentMs: number;
}

/** What the agent wrote into the alert of a canary. */
function agentTimesOf(body: string): AgentTimes | undefined {
  let read: { readonly falconry_hops?: Partial<AgentTimes> } | null;
  try {
    read = JSON.parse(body) as typeof read;
  } catch {
    return undefined;
  }
  const { readMs, matchedMs, sentMs } = read?.falconry_hops ?? {};
  const isTime = (ms: unknown): ms is number => Number.isSafeInteger(ms);
  return isTime(readMs) && isTime(matchedMs) && isTime(sentMs) ? { readMs, matchedMs, sentMs } : undefined;
}

export function timesOf(alert: Alert, here: Pick<Times, "sentMs" | "answeredMs" | "seenMs">): Times {
  const { time, receivedAt, body } = alert;
  const agent = agentTimesOf(body);
  return {
    ...here,
    ...(agent === undefined ? {} : { agent }),
    writtenMs: time === undefined ? Number.NaN : timestampMs(time),
    receivedMs: receivedAt === undefined ? Number.NaN : timestampMs(receivedAt),
  };
}

const clocksApartMs = 5_000;

/** From the record in the audit log to the alert with the server. Clocks of two machines may make a hop negative: it is shown so. */
function hopLines({ writtenMs, receivedMs, agent }: Times): readonly string[] {
  if (agent === undefined) {
    return [
      `agent read it, rule matched, delivered  ${receivedMs - writtenMs} ms from there until the server had it, by both clocks`,
    ];
  }
  const { readMs, matchedMs, sentMs } = agent;
  return [
    `agent read it                           ${readMs - writtenMs} ms later, by kube-apiserver's clock and the agent's`,
    `rule matched                            ${matchedMs - readMs} ms later, by the agent's clock`,
    `agent sent the alert                    ${sentMs - matchedMs} ms later, by the agent's clock`,
    `server stored it                        ${receivedMs - sentMs} ms later, by the agent's clock and the server's`,
  ];
}

/** How long each hop took, ms; those within the agent where it says so. Where two clocks are in it, it may be negative. */
export interface Hops {
  readonly answeredMs: number;
  readonly writtenMs: number;
  readonly readMs?: number;
  readonly matchedMs?: number;
  readonly dispatchedMs?: number;
  readonly storedMs?: number;
  /** From the record to the server, whatever was between. */
  readonly deliveredMs: number;
  readonly altogetherMs: number;
}

/** How long each hop took, for programs. */
export function hopsOf({ sentMs, answeredMs, writtenMs, receivedMs, seenMs, agent }: Times): Hops {
  const within =
    agent === undefined
      ? {}
      : {
          readMs: agent.readMs - writtenMs,
          matchedMs: agent.matchedMs - agent.readMs,
          dispatchedMs: agent.sentMs - agent.matchedMs,
          storedMs: receivedMs - agent.sentMs,
        };
  return {
    answeredMs: answeredMs - sentMs,
    writtenMs: writtenMs - sentMs,
    ...within,
    deliveredMs: receivedMs - writtenMs,
    altogetherMs: seenMs - sentMs,
  };
}

/** A line for each hop, with how long it took. */
export function latencyLines(times: Times): readonly string[] {
  const { sentMs, answeredMs, writtenMs, seenMs } = times;
  const apartMs = writtenMs < sentMs ? writtenMs - sentMs : Math.max(0, writtenMs - answeredMs);
  const isApart = Math.abs(apartMs) > clocksApartMs;
  return [
    `kube-apiserver answered                 ${answeredMs - sentMs} ms`,
    `kube-apiserver wrote it                 ${writtenMs - sentMs} ms after it was asked, by its own clock`,
    ...hopLines(times),
    `altogether, until it was seen here      ${seenMs - sentMs} ms`,
    ...(isApart
      ? [
          `kube-apiserver's clock is ${Math.round(Math.abs(apartMs) / 1000)} s ${apartMs < 0 ? "behind" : "ahead of"} this machine's`,
        ]
      : []),
  ];
}
