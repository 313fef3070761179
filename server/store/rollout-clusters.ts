import { sql } from "./drizzle.ts";

import { countsAgainst } from "../domain/gates/health.ts";
import type { Digest, RolloutId } from "../domain/ids.ts";
import { freshSuspicions } from "../domain/instance.ts";
import { askedAgents, hasLeft, isSilent, recentAgents, type Heard } from "../domain/liveness.ts";
import {
  startsWith,
  staysAsked,
  type RolloutCluster,
  type RolloutClusterState,
} from "../domain/rollout-cluster.ts";
import type { AgentView, AttemptView } from "../domain/rollout-proof.ts";
import { layerOf, type ComponentName } from "../domain/component.ts";
import type { RolloutSnapshot } from "../domain/rollout-step.ts";
import type { Rollout } from "../domain/rollout.ts";
import { matchesSelector } from "../domain/selector.ts";
import { findFreeze, toFreeze } from "./freezes.ts";
import { assignedOf } from "./assignments.ts";
import { epochMs } from "./epoch-ms.ts";
import { isListed } from "./listed.ts";
import type { Db } from "./pool.ts";
import type { StoredCondition, StoredSuspicion } from "./schema.ts";

/** Everything that the next decision about a rollout is made from, as one consistent read. */
export async function readRolloutSnapshot(db: Db, rollout: Rollout, now: Date): Promise<RolloutSnapshot> {
  const nowMs = now.getTime();
  const rows = await readRows(db, rollout);
  const seen = { kind: rollout.spec.kind, digest: rollout.digest, nowMs };
  const clusters = [...Map.groupBy(rows, ({ id }) => id).values()].flatMap(([row, ...more]) =>
    row === undefined
      ? []
      : [
          {
            ...clusterOf(row, [row, ...more].flatMap(agentIn), seen),
            strayed: !matchesSelector(rollout.spec.selector, row.labels),
          },
        ],
  );
  const freeze = await findFreeze(db, now);
  return { rollout, nowMs, clusters, ...(freeze === undefined ? {} : { freeze: toFreeze(freeze) }) };
}

/**
 * One row per agent, and one per cluster that has none, so that all comes from the same snapshot of the database: to fold the agents into
 * JSON took the database half as long again. There is seldom another rollout, so that is asked once and not for each cluster.
 */
async function readRows(db: Db, rollout: Rollout): Promise<readonly Row[]> {
  const kind = rollout.spec.kind;
  const assigned = assignedOf(kind, sql`rc.cluster_id`);
  const { rows } = await db.execute<Row>(sql`
    with newer as (
      select r.id from rollouts r
      where r.kind = ${kind} and r.created_at > ${new Date(rollout.createdAtMs).toISOString()}::timestamptz
    ), others as materialized (
      select r.id from rollouts r
      where r.kind = ${kind} and r.finished_at is null and not r.pending and r.id <> ${rollout.id}
    ), released as materialized (select b.digest, ${isListed("b")} as listed from bundles b)
    select rc.cluster_id as id, c.name, rc.wave, rc.state, rc.reason, rc.late, c.labels, rc.previous_digest as previous,
      rc.generation::text as generation, c.retired_at is not null as retired,
      ${epochMs("rc.assigned_at")} as "assignedAtMs", ${epochMs("rc.proved_at")} as "provedAtMs",
      coalesce(b.listed, false) as "previousListed",
      coalesce(a.generation, 0)::text as "assignmentGeneration", ${assigned.digest} as "assignmentDigest",
      ${assigned.rolloutId} as "assignmentRolloutId",
      case when exists (select 1 from others) then (
        select min(rc2.rollout_id) from others o join rollout_clusters rc2 on rc2.rollout_id = o.id
        where rc2.cluster_id = rc.cluster_id and rc2.state <> 'removed') end as "heldBy",
      rc.state = 'waiting' and exists (select 1 from newer) and exists (
        select 1 from rollout_clusters rc3 where rc3.cluster_id = rc.cluster_id and rc3.state <> 'removed'
          and rc3.rollout_id in (select id from newer)) as superseded,
      agents.*
    from rollout_clusters rc
    join clusters c on c.id = rc.cluster_id
    left join assignments a on a.cluster_id = rc.cluster_id ${assigned.join}
    left join released b on b.digest = rc.previous_digest
    left join lateral (
      select g.name as agent, ${epochMs("g.last_seen_at")} as "lastSeenMs", ${epochMs("g.left_at")} as "leftMs",
        ${epochMs("g.created_at")} as "enrolledMs", ${epochMs("g.connected_at")} as "connectedMs",
        g.observed_generation::text as "observedGeneration", nullif(g.conditions, '[]') as conditions,
        nullif(g.suspicions, '[]') as suspicions, p.running_digest as running,
        coalesce(p.proved_generation, 0)::text as "provedGeneration", ${epochMs("p.running_since")} as "runningSinceMs",
        t.digest as "attemptDigest", t.generation::text as "attemptGeneration", t.phase as "attemptPhase",
        t.reason as "attemptReason", left(t.detail, 1000) as "attemptDetail"
      from agents g
      left join agent_components p on p.agent_id = g.id and p.kind = ${kind}
      left join lateral (
        select t.digest, t.generation, t.phase, t.reason, t.detail from attempts t
        where t.agent_id = g.id and t.kind = ${kind} order by t.generation desc, t.at desc limit 1
      ) t on true
      where g.cluster_id = rc.cluster_id and g.revoked_at is null
      -- Keeps it a question about one cluster: without statistics of a rollout that is new, each was compared with all agents.
      offset 0
    ) agents on true
    where rc.rollout_id = ${rollout.id}
    order by rc.wave, c.name, rc.cluster_id, agents.agent`);
  return rows;
}

type Row = Record<string, unknown> & ClusterRow & AgentColumns;

interface ClusterRow {
  readonly id: string;
  readonly name: string;
  readonly wave: number;
  readonly state: RolloutClusterState;
  readonly reason: string;
  readonly late: boolean;
  readonly superseded: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly previous: Digest | null;
  readonly previousListed: boolean;
  readonly generation: string;
  readonly assignedAtMs: number | null;
  readonly provedAtMs: number | null;
  readonly retired: boolean;
  readonly assignmentGeneration: string;
  readonly assignmentDigest: Digest | null;
  readonly assignmentRolloutId: RolloutId | null;
  readonly heldBy: RolloutId | null;
}

interface AgentColumns {
  /** The agent's name; null where the cluster has none, and so are all that follow. */
  readonly agent: string | null;
  readonly lastSeenMs: number | null;
  readonly leftMs: number | null;
  readonly enrolledMs: number;
  readonly connectedMs: number | null;
  readonly observedGeneration: string;
  readonly running: Digest | null;
  readonly provedGeneration: string;
  readonly runningSinceMs: number | null;
  readonly conditions: readonly StoredCondition[] | null;
  readonly suspicions: readonly StoredSuspicion[] | null;
  /** Null when it tried none of the kind, and so are those that follow. */
  readonly attemptDigest: Digest | null;
  readonly attemptGeneration: string;
  readonly attemptPhase: string;
  readonly attemptReason: string;
  readonly attemptDetail: string;
}

interface HeardAgent extends Heard {
  readonly name: string;
  readonly columns: AgentColumns;
}

function agentIn(columns: AgentColumns): readonly HeardAgent[] {
  const { agent: name, lastSeenMs, leftMs } = columns;
  if (name === null) return [];
  const heard = { ...(lastSeenMs === null ? {} : { lastSeenMs }), ...(leftMs === null ? {} : { leftMs }) };
  return [{ name, columns, ...heard }];
}

function clusterOf(row: ClusterRow, agents: readonly HeardAgent[], seen: Seen): RolloutCluster {
  const { kind } = seen;
  return {
    id: row.id,
    name: row.name,
    wave: row.wave,
    state: row.state,
    reason: row.reason,
    ...(row.previous === null ? {} : { previous: row.previous }),
    previousListed: row.previousListed,
    ...(layerOf(kind) === undefined ? {} : { mayEndWithout: true }),
    generation: BigInt(row.generation),
    ...(row.assignedAtMs === null ? {} : { assignedAtMs: row.assignedAtMs }),
    ...(row.provedAtMs === null ? {} : { provedAtMs: row.provedAtMs }),
    retired: row.retired,
    late: row.late,
    superseded: row.superseded,
    assignment: {
      generation: BigInt(row.assignmentGeneration),
      ...(row.assignmentDigest === null ? {} : { digest: row.assignmentDigest }),
      ...(row.assignmentRolloutId === null ? {} : { rolloutId: row.assignmentRolloutId }),
    },
    ...(row.heldBy === null ? {} : { heldBy: row.heldBy }),
    ...agentsOf(row, agents, seen),
  };
}

/** What a rollout is of, and when its clusters are looked at. */
interface Seen {
  readonly kind: ComponentName;
  readonly digest: Digest;
  readonly nowMs: number;
}

/** The agents that are asked, in the order of their names, and the names of those that left with the bundle. */
function agentsOf(
  row: ClusterRow,
  all: readonly HeardAgent[],
  seen: Seen,
): Pick<RolloutCluster, "agents" | "leftWith"> {
  const { digest, nowMs } = seen;
  const asked = new Set(askedAgents(all, nowMs));
  const recent = new Set(recentAgents(all, nowMs));
  const agents: AgentView[] = [];
  const leftWith: string[] = [];
  const cluster = {
    state: row.state,
    generation: BigInt(row.generation),
    ...(row.assignedAtMs === null ? {} : { assignedAtMs: row.assignedAtMs }),
  };
  for (const agent of all) {
    const view = agentOf(agent, { ...seen, assignedAtMs: row.assignedAtMs });
    const isRecent = recent.has(agent);
    if (asked.has(agent) || (isRecent && staysAsked(cluster, view, agent.leftMs ?? 0, digest))) {
      agents.push(view);
    } else if (isRecent && startsWith(view, digest)) leftWith.push(view.name);
  }
  return { agents, ...(leftWith.length === 0 ? {} : { leftWith }) };
}

function agentOf(
  agent: HeardAgent,
  { kind, nowMs, assignedAtMs }: Pick<ClusterRow, "assignedAtMs"> & Seen,
): AgentView {
  const { columns, name, lastSeenMs } = agent;
  const flapping = freshSuspicions(columns.suspicions ?? [], nowMs).filter(
    ({ code }) => code === "session/flapping",
  );
  const raised = [
    ...raisedSince(columns.conditions ?? [], columns.runningSinceMs),
    // An agent that a bundle ends again and again may never say that it runs. Both times are by servers' clocks.
    ...raisedSince(flapping, assignedAtMs),
  ].filter((code) => countsAgainst(kind, code));
  const attempt = attemptIn(columns);
  return {
    name,
    silent: isSilent(lastSeenMs, nowMs),
    ...(hasLeft(agent, nowMs) ? { hasLeft: true } : {}),
    ...(lastSeenMs === undefined ? {} : { lastSeenMs }),
    enrolledMs: columns.enrolledMs,
    ...(columns.connectedMs === null ? {} : { connectedMs: columns.connectedMs }),
    observedGeneration: BigInt(columns.observedGeneration),
    ...(columns.running === null ? {} : { running: columns.running }),
    provedGeneration: BigInt(columns.provedGeneration),
    ...(raised.length === 0 ? {} : { raised }),
    ...((columns.conditions ?? []).some(({ code }) => code === "clock/skew") ? { isClockOff: true } : {}),
    ...(attempt === undefined ? {} : { attempt }),
  };
}

function attemptIn(columns: AgentColumns): AttemptView | undefined {
  const { attemptDigest: digest, attemptGeneration, attemptPhase, attemptReason, attemptDetail } = columns;
  if (digest === null) return undefined;
  const words = { phase: attemptPhase, reason: attemptReason, detail: attemptDetail };
  return { digest, generation: BigInt(attemptGeneration), ...words };
}

/** Read here and not in the database: a time that an agent made up must not end the query for everybody. */
function raisedSince(conditions: readonly StoredCondition[], atMs: number | null): readonly string[] {
  if (atMs === null) return [];
  return conditions.filter(({ since }) => Date.parse(since) >= atMs).map(({ code }) => code);
}
