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
import { isListed } from "./listed.ts";
import type { Db } from "./pool.ts";
import type { StoredCondition, StoredSuspicion } from "./schema.ts";

/** Everything that the next decision about a rollout is made from, as one consistent read. */
export async function readRolloutSnapshot(db: Db, rollout: Rollout, now: Date): Promise<RolloutSnapshot> {
  const nowMs = now.getTime();
  const kind = rollout.spec.kind;
  const assigned = assignedOf(kind, sql`rc.cluster_id`);
  // One row per cluster; its agents are folded into JSON, so that both come from the same snapshot of the database.
  // JSON is made of the one attempt that is wanted and not of those that it is chosen from. There is seldom a newer rollout,
  // so that is asked once and not for each cluster.
  const { rows } = await db.execute<ClusterRow>(sql`
    with newer as (
      select r.id from rollouts r
      where r.kind = ${kind} and r.created_at > ${new Date(rollout.createdAtMs).toISOString()}::timestamptz
    )
    select rc.cluster_id as id, c.name, rc.wave, rc.state, rc.reason, rc.late, c.labels, rc.previous_digest as previous,
      rc.generation::text as generation, c.retired_at is not null as retired,
      (extract(epoch from rc.assigned_at) * 1000)::float8 as "assignedAtMs",
      (extract(epoch from rc.proved_at) * 1000)::float8 as "provedAtMs",
      coalesce(${isListed("b")}, false)
        as "previousListed",
      coalesce(a.generation, 0)::text as "assignmentGeneration", ${assigned.digest} as "assignmentDigest",
      ${assigned.rolloutId} as "assignmentRolloutId",
      (select min(r2.id) from rollout_clusters rc2 join rollouts r2 on r2.id = rc2.rollout_id
        where rc2.cluster_id = rc.cluster_id and rc2.state <> 'removed'
          and r2.finished_at is null and not r2.pending and r2.kind = ${kind} and r2.id <> rc.rollout_id) as "heldBy",
      rc.state = 'waiting' and exists (select 1 from newer) and exists (
        select 1 from rollout_clusters rc3 where rc3.cluster_id = rc.cluster_id and rc3.state <> 'removed'
          and rc3.rollout_id in (select id from newer)) as superseded,
      agents.list as agents
    from rollout_clusters rc
    join clusters c on c.id = rc.cluster_id
    left join assignments a on a.cluster_id = rc.cluster_id ${assigned.join}
    left join bundles b on b.digest = rc.previous_digest
    left join lateral (
      select json_agg(json_build_object(
        'name', g.name,
        'lastSeenMs', extract(epoch from g.last_seen_at) * 1000,
        'leftMs', extract(epoch from g.left_at) * 1000,
        'enrolledMs', extract(epoch from g.created_at) * 1000, 'connectedMs', extract(epoch from g.connected_at) * 1000,
        'observedGeneration', g.observed_generation::text,
        'running', p.running_digest,
        'provedGeneration', coalesce(p.proved_generation, 0)::text,
        'runningSinceMs', extract(epoch from p.running_since) * 1000,
        'conditions', nullif(g.conditions, '[]'),
        'suspicions', nullif(g.suspicions, '[]'),
        'attempt', case when t.digest is not null then json_build_object('digest', t.digest,
          'generation', t.generation::text, 'phase', t.phase, 'reason', t.reason, 'detail', left(t.detail, 1000)) end
        ) order by g.name) as list
      from agents g
      left join agent_components p on p.agent_id = g.id and p.kind = ${kind}
      left join lateral (
        select t.digest, t.generation, t.phase, t.reason, t.detail from attempts t
        where t.agent_id = g.id and t.kind = ${kind} order by t.generation desc, t.at desc limit 1
      ) t on true
      where g.cluster_id = rc.cluster_id and g.revoked_at is null
    ) agents on true
    where rc.rollout_id = ${rollout.id}
    order by rc.wave, c.name`);
  const clusters = rows.map((row) => ({
    ...clusterOf(row, { kind, digest: rollout.digest, nowMs }),
    strayed: !matchesSelector(rollout.spec.selector, row.labels),
  }));
  const freeze = await findFreeze(db, now);
  return { rollout, nowMs, clusters, ...(freeze === undefined ? {} : { freeze: toFreeze(freeze) }) };
}

interface ClusterRow extends Record<string, unknown> {
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
  readonly agents: readonly AgentRow[] | null;
}

interface AgentRow {
  readonly name: string;
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
  readonly attempt: (Omit<AttemptView, "generation"> & { readonly generation: string }) | null;
}

function clusterOf(row: ClusterRow, seen: Seen): RolloutCluster {
  const { kind } = seen;
  const agents = (row.agents ?? []).map(({ lastSeenMs, leftMs, ...agent }) => ({
    ...agent,
    ...(lastSeenMs === null ? {} : { lastSeenMs }),
    ...(leftMs === null ? {} : { leftMs }),
  }));
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

type HeardAgent = Omit<AgentRow, keyof Heard> & Heard;

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
  row: HeardAgent,
  { kind, nowMs, assignedAtMs }: Pick<ClusterRow, "assignedAtMs"> & Seen,
): AgentView {
  const { attempt } = row;
  const flapping = freshSuspicions(row.suspicions ?? [], nowMs).filter(
    ({ code }) => code === "session/flapping",
  );
  const raised = [
    ...raisedSince(row.conditions ?? [], row.runningSinceMs),
    // An agent that a bundle ends again and again may never say that it runs. Both times are by servers' clocks.
    ...raisedSince(flapping, assignedAtMs),
  ].filter((code) => countsAgainst(kind, code));
  return {
    name: row.name,
    silent: isSilent(row.lastSeenMs, nowMs),
    ...(hasLeft(row, nowMs) ? { hasLeft: true } : {}),
    ...(row.lastSeenMs === undefined ? {} : { lastSeenMs: row.lastSeenMs }),
    enrolledMs: row.enrolledMs,
    ...(row.connectedMs === null ? {} : { connectedMs: row.connectedMs }),
    observedGeneration: BigInt(row.observedGeneration),
    ...(row.running === null ? {} : { running: row.running }),
    provedGeneration: BigInt(row.provedGeneration),
    ...(raised.length === 0 ? {} : { raised }),
    ...((row.conditions ?? []).some(({ code }) => code === "clock/skew") ? { isClockOff: true } : {}),
    ...(attempt === null ? {} : { attempt: { ...attempt, generation: BigInt(attempt.generation) } }),
  };
}

/** Read here and not in the database: a time that an agent made up must not end the query for everybody. */
function raisedSince(conditions: readonly StoredCondition[], atMs: number | null): readonly string[] {
  if (atMs === null) return [];
  return conditions.filter(({ since }) => Date.parse(since) >= atMs).map(({ code }) => code);
}
