import { create } from "@bufbuild/protobuf";
import {
  AgentSchema,
  AssignmentSchema,
  AttemptSchema,
  ClusterHealth,
  ClusterSchema,
  ConditionSchema,
  RatesSchema,
  RunningSchema,
  type Agent,
  type Assignment,
  type Cluster,
  type Rates,
  type Running,
} from "#proto/fleet/v1/cluster";

import { judgeHealth, type AgentFacts, type Health } from "../domain/cluster-health.ts";
import type { Digest } from "../domain/ids.ts";
import { layerComponent, type BundleComponent, type ComponentName } from "../domain/component.ts";
import { freshSuspicions } from "../domain/instance.ts";
import { askedAgents, isGoodbyeLast, type Heard } from "../domain/liveness.ts";
import type { BundleName } from "../store/bundles.ts";
import type {
  AgentRow,
  AssignmentRow,
  ClusterParts,
  ClusterRow,
  ComponentRow,
  LayerRow,
} from "../store/clusters.ts";
import type { StoredCondition } from "../store/schema.ts";
import { refOf, toTimestamp } from "./messages.ts";

type Names = ReadonlyMap<string, BundleName>;

/** The components that some agents say something of: rules and shipper first. */
function componentsIn(components: readonly ComponentRow[]): readonly ComponentName[] {
  return [...new Set<ComponentName>(["rules", "shipper", ...components.map(({ kind }) => kind).toSorted()])];
}

/** The words of the domain as the contract has them. */
export const healths: Readonly<Record<Health, ClusterHealth>> = {
  healthy: ClusterHealth.HEALTHY,
  updating: ClusterHealth.UPDATING,
  degraded: ClusterHealth.DEGRADED,
  silent: ClusterHealth.SILENT,
};

/** Every bundle that the parts of some clusters mention, for their names. */
export function digestsIn(parts: ClusterParts): readonly string[] {
  return [
    ...parts.assignments.flatMap((row) => [row.rulesDigest, row.shipperDigest]),
    ...parts.layers.map((row) => row.digest),
    ...parts.components.map((row) => row.runningDigest),
    ...parts.attempts.map((row) => row.digest),
  ].filter((digest) => digest !== null);
}

/** Takes the parts of many clusters apart once, so that a page of a thousand does not search them a thousand times. */
export function partsByCluster(parts: ClusterParts): (clusterId: string) => ClusterParts {
  const agents = Map.groupBy(parts.agents, (row) => row.clusterId);
  const components = Map.groupBy(parts.components, (row) => row.agentId);
  const attempts = Map.groupBy(parts.attempts, (row) => row.agentId);
  const rates = Map.groupBy(parts.rates, (row) => row.agentId);
  const assignments = Map.groupBy(parts.assignments, (row) => row.clusterId);
  const layers = Map.groupBy(parts.layers, (row) => row.clusterId);
  return (clusterId) => {
    const those = agents.get(clusterId) ?? [];
    return {
      agents: those,
      components: those.flatMap((agent) => components.get(agent.id) ?? []),
      attempts: those.flatMap((agent) => attempts.get(agent.id) ?? []),
      rates: those.flatMap((agent) => rates.get(agent.id) ?? []),
      assignments: assignments.get(clusterId) ?? [],
      layers: layers.get(clusterId) ?? [],
    };
  };
}

/** A cluster with its own parts as people see it; with its agents only when `withAgents`. */
export function toCluster(
  row: ClusterRow,
  parts: ClusterParts,
  names: Names,
  now: Date,
  withAgents: boolean,
): Cluster {
  const { agents } = parts;
  const [assignment] = parts.assignments;
  const judged = judgeHealth(
    {
      ...digest("rules", assignment?.rulesDigest),
      ...digest("shipper", assignment?.shipperDigest),
      ...Object.fromEntries(parts.layers.map(({ layer, digest: of }) => [layerComponent(layer), of])),
    },
    agents.map((agent) => factsOf(agent, parts, now)),
    now.getTime(),
  );
  return create(ClusterSchema, {
    id: row.id,
    name: row.name,
    uid: row.uid,
    labels: { ...row.labels },
    health: healths[judged.health],
    healthReason: judged.reason,
    assignment: assignment === undefined ? undefined : toAssignment(assignment, parts.layers, names),
    running: commonRunning(askedOf(agents, now), parts, names),
    rates: sumRates(parts.rates),
    lastSeenAt: toTimestamp(newest(agents.map((agent) => agent.lastSeenAt))),
    createdAt: toTimestamp(row.createdAt),
    retiredAt: toTimestamp(row.retiredAt),
    agentCount: agents.length,
    agents: withAgents ? agents.map((agent) => toAgent(agent, parts, names, now)) : [],
  });
}

function digest<K extends BundleComponent>(
  kind: K,
  value: string | null | undefined,
): { readonly [P in K]?: Digest } {
  return (value === null || value === undefined ? {} : { [kind]: value }) as { readonly [P in K]?: Digest };
}

/** What the server finds wrong with who speaks for an agent, before what the agent itself reports. */
function conditionsOf({ suspicions, conditions }: AgentRow, now: Date): readonly StoredCondition[] {
  return [...freshSuspicions(suspicions, now.getTime()), ...conditions];
}

function heardOf({ lastSeenAt, leftAt }: AgentRow): Heard {
  return {
    ...(lastSeenAt === null ? {} : { lastSeenMs: lastSeenAt.getTime() }),
    ...(leftAt === null ? {} : { leftMs: leftAt.getTime() }),
  };
}

/** Those whose word counts for their cluster. */
function askedOf(agents: readonly AgentRow[], now: Date): readonly AgentRow[] {
  const all = agents.map((row) => ({ row, ...heardOf(row) }));
  return askedAgents(all, now.getTime()).map(({ row }) => row);
}

function factsOf(agent: AgentRow, parts: ClusterParts, now: Date): AgentFacts {
  return {
    name: agent.name,
    createdMs: agent.createdAt.getTime(),
    ...heardOf(agent),
    certificateExpiresMs: agent.certificateExpiresAt.getTime(),
    conditions: conditionsOf(agent, now),
    components: componentsIn(parts.components).map((kind) => {
      const running = runningOf(agent, kind, parts)?.runningDigest;
      const attempt = parts.attempts.find((each) => each.agentId === agent.id && each.kind === kind);
      return {
        kind,
        ...(running === null || running === undefined ? {} : { running: running as Digest }),
        ...(attempt === undefined ? {} : { attempt: { ...attempt, digest: attempt.digest as Digest } }),
      };
    }),
  };
}

function runningOf(agent: AgentRow, kind: ComponentName, parts: ClusterParts): ComponentRow | undefined {
  return parts.components.find((each) => each.agentId === agent.id && each.kind === kind);
}

function toAssignment(row: AssignmentRow, layers: readonly LayerRow[], names: Names): Assignment {
  return create(AssignmentSchema, {
    generation: row.generation,
    rules: refOf(names, "rules", row.rulesDigest),
    shipper: refOf(names, "shipper", row.shipperDigest),
    changedAt: toTimestamp(row.changedAt),
    rolloutId: row.rulesRolloutId ?? row.shipperRolloutId ?? "",
    layers: layers.flatMap(({ layer, digest: of }) => refOf(names, layerComponent(layer), of) ?? []),
  });
}

/** What all agents of a cluster prove alike; of two that prove the same, the later proof. */
function commonRunning(agents: readonly AgentRow[], parts: ClusterParts, names: Names): Running[] {
  return componentsIn(parts.components).flatMap((kind) => {
    const rows = agents.map((agent) => runningOf(agent, kind, parts));
    const [first] = rows;
    if (first === undefined || rows.some((row) => row?.runningDigest !== first.runningDigest)) return [];
    const latest = rows.reduce((a, b) => ((a?.provedAt ?? 0) >= (b?.provedAt ?? 0) ? a : b));
    return latest === undefined ? [] : toRunning(latest, names);
  });
}

function toRunning(row: ComponentRow, names: Names): Running[] {
  const bundle = refOf(names, row.kind, row.runningDigest);
  if (bundle === undefined) return [];
  const message = create(RunningSchema, {
    bundle,
    since: toTimestamp(row.runningSince),
    provedAt: toTimestamp(row.provedAt),
    generation: row.provedGeneration ?? 0n,
  });
  return [message];
}

function toAgent(row: AgentRow, parts: ClusterParts, names: Names, now: Date): Agent {
  const isConnected =
    row.connectedAt !== null && (row.disconnectedAt === null || row.disconnectedAt < row.connectedAt);
  return create(AgentSchema, {
    id: row.id,
    name: row.name,
    version: row.version,
    transport: isConnected ? (row.transport ?? "") : "",
    lastSeenAt: toTimestamp(row.lastSeenAt),
    connectedAt: toTimestamp(row.connectedAt),
    certificateExpiresAt: toTimestamp(row.certificateExpiresAt),
    observedGeneration: row.observedGeneration,
    running: parts.components
      .filter((each) => each.agentId === row.id)
      .flatMap((each) => toRunning(each, names)),
    attempts: parts.attempts
      .filter((each) => each.agentId === row.id)
      .map((each) =>
        create(AttemptSchema, {
          bundle: refOf(names, each.kind, each.digest),
          generation: each.generation,
          phase: each.phase,
          reason: each.reason,
          detail: each.detail,
          at: toTimestamp(each.at),
          logTail: each.logTail,
        }),
      ),
    conditions: conditionsOf(row, now).map(({ code, message, since }) =>
      create(ConditionSchema, { code, message, since: toTimestamp(dateOf(since)) }),
    ),
    rates: sumRates(parts.rates.filter((rate) => rate.agentId === row.id)),
    // A server of before may have heard of it again without saying so.
    ...(isGoodbyeLast(heardOf(row)) ? { leftAt: toTimestamp(row.leftAt) } : {}),
  });
}

/** Counters of one minute as stored, of an agent or summed. */
export interface Counters {
  readonly minute: Date;
  readonly events: bigint;
  readonly bytes: bigint;
  readonly alerts: bigint;
  readonly dropped: bigint;
  readonly parked: bigint;
  readonly lagMs: bigint;
  readonly detectionUs: bigint;
  readonly seconds: number;
}

export function toRates(row: Counters): Rates {
  const { events, bytes, alerts, dropped, parked, lagMs, detectionUs, seconds } = row;
  return create(RatesSchema, {
    minute: toTimestamp(row.minute),
    events,
    bytes,
    alerts,
    dropped,
    parked,
    lagMs,
    detectionUs,
    seconds,
  });
}

/** The sum over agents of the newest minute that any of them reported; of lag and seconds the highest counts. */
function sumRates(rows: readonly Counters[]): Rates | undefined {
  const minute = newest(rows.map((row) => row.minute));
  if (minute === undefined) return undefined;
  const those = rows.filter((row) => row.minute.getTime() === minute.getTime());
  const total = (read: (row: Counters) => bigint) => those.reduce((sum, row) => sum + read(row), 0n);
  return toRates({
    minute,
    events: total((row) => row.events),
    bytes: total((row) => row.bytes),
    alerts: total((row) => row.alerts),
    dropped: total((row) => row.dropped),
    parked: total((row) => row.parked),
    lagMs: those.reduce((max, row) => (row.lagMs > max ? row.lagMs : max), 0n),
    detectionUs: total((row) => row.detectionUs),
    seconds: Math.max(...those.map((row) => row.seconds)),
  });
}

function newest(dates: readonly (Date | null)[]): Date | undefined {
  const [first] = dates.filter((date) => date !== null).toSorted((a, b) => b.getTime() - a.getTime());
  return first;
}

function dateOf(text: string): Date | undefined {
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? undefined : date;
}
