import { sql } from "drizzle-orm";

import type { Digest, RolloutId } from "../domain/ids.ts";
import { askedAgents, isSilent } from "../domain/liveness.ts";
import type { RolloutCluster, RolloutClusterState } from "../domain/rollout-cluster.ts";
import type { AgentView, AttemptView } from "../domain/rollout-proof.ts";
import type { RolloutSnapshot } from "../domain/rollout-step.ts";
import type { Rollout } from "../domain/rollout.ts";
import { matchesSelector } from "../domain/selector.ts";
import type { Db } from "./pool.ts";

/** Everything that the next decision about a rollout is made from, as one consistent read. */
export async function readRolloutSnapshot(db: Db, rollout: Rollout, now: Date): Promise<RolloutSnapshot> {
  const nowMs = now.getTime();
  const kind = rollout.spec.kind;
  const digest = sql.identifier(`${kind}_digest`);
  const by = sql.identifier(`${kind}_rollout_id`);
  // One row per cluster; its agents are folded into JSON, so that both come from the same snapshot of the database.
  const { rows } = await db.execute<ClusterRow>(sql`
    select rc.cluster_id as id, c.name, rc.wave, rc.state, rc.reason, rc.late, c.labels, rc.previous_digest as previous,
      rc.generation::text as generation, c.retired_at is not null as retired,
      (extract(epoch from rc.assigned_at) * 1000)::float8 as "assignedAtMs",
      (extract(epoch from rc.proved_at) * 1000)::float8 as "provedAtMs",
      coalesce(b.targets_version = (select max(version) from trust_metadata where role = 'targets'), false)
        as "previousListed",
      coalesce(a.generation, 0)::text as "assignmentGeneration", a.${digest} as "assignmentDigest",
      a.${by} as "assignmentRolloutId",
      (select min(r2.id) from rollout_clusters rc2 join rollouts r2 on r2.id = rc2.rollout_id
        where rc2.cluster_id = rc.cluster_id and rc2.state <> 'removed'
          and r2.finished_at is null and r2.kind = ${kind} and r2.id <> rc.rollout_id) as "heldBy",
      rc.state = 'waiting' and exists (
        select 1 from rollout_clusters rc3 join rollouts r3 on r3.id = rc3.rollout_id
        where rc3.cluster_id = rc.cluster_id and rc3.state <> 'removed' and r3.kind = ${kind}
          and r3.created_at > ${new Date(rollout.createdAtMs).toISOString()}::timestamptz) as superseded,
      agents.list as agents
    from rollout_clusters rc
    join clusters c on c.id = rc.cluster_id
    left join assignments a on a.cluster_id = rc.cluster_id
    left join bundles b on b.digest = rc.previous_digest
    left join lateral (
      select json_agg(json_build_object(
        'name', g.name,
        'lastSeenMs', extract(epoch from g.last_seen_at) * 1000,
        'observedGeneration', g.observed_generation::text,
        'running', p.running_digest,
        'provedGeneration', coalesce(p.proved_generation, 0)::text,
        'attempt', t.attempt) order by g.name) as list
      from agents g
      left join agent_components p on p.agent_id = g.id and p.kind = ${kind}
      left join lateral (
        select json_build_object('digest', t.digest, 'generation', t.generation::text, 'phase', t.phase,
          'reason', t.reason, 'detail', left(t.detail, 1000)) as attempt
        from attempts t where t.agent_id = g.id and t.kind = ${kind} order by t.generation desc, t.at desc limit 1
      ) t on true
      where g.cluster_id = rc.cluster_id and g.revoked_at is null
    ) agents on true
    where rc.rollout_id = ${rollout.id}
    order by rc.wave, c.name`);
  const clusters = rows.map((row) => ({
    ...clusterOf(row, nowMs),
    strayed: !matchesSelector(rollout.spec.selector, row.labels),
  }));
  return { rollout, nowMs, clusters };
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
  readonly observedGeneration: string;
  readonly running: Digest | null;
  readonly provedGeneration: string;
  readonly attempt: (Omit<AttemptView, "generation"> & { readonly generation: string }) | null;
}

function clusterOf(row: ClusterRow, nowMs: number): RolloutCluster {
  const agents = (row.agents ?? []).map(({ lastSeenMs, ...agent }) => ({
    ...agent,
    ...(lastSeenMs === null ? {} : { lastSeenMs }),
  }));
  return {
    id: row.id,
    name: row.name,
    wave: row.wave,
    state: row.state,
    reason: row.reason,
    ...(row.previous === null ? {} : { previous: row.previous }),
    previousListed: row.previousListed,
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
    agents: askedAgents(agents, nowMs).map((agent) => agentOf(agent, nowMs)),
  };
}

function agentOf(
  row: Omit<AgentRow, "lastSeenMs"> & { readonly lastSeenMs?: number },
  nowMs: number,
): AgentView {
  const { attempt } = row;
  return {
    name: row.name,
    silent: isSilent(row.lastSeenMs, nowMs),
    observedGeneration: BigInt(row.observedGeneration),
    ...(row.running === null ? {} : { running: row.running }),
    provedGeneration: BigInt(row.provedGeneration),
    ...(attempt === null ? {} : { attempt: { ...attempt, generation: BigInt(attempt.generation) } }),
  };
}
