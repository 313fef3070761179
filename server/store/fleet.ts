import { sql } from "drizzle-orm";

import type { Digest, RolloutId } from "../domain/ids.ts";
import { askedAgents, isSilent } from "../domain/liveness.ts";
import type { FleetCluster } from "../domain/rollout-plan.ts";
import type { BundleKind } from "../domain/rollout-spec.ts";
import type { Scope } from "../domain/scope.ts";
import type { Db } from "./pool.ts";
import { labelsIn } from "./scopes.ts";

/** The fleet of a scope as a plan for one kind of bundle looks at it, without retired clusters. */
export async function readFleet(
  db: Db,
  scope: Scope,
  kind: BundleKind,
  now: Date,
): Promise<readonly FleetCluster[]> {
  const nowMs = now.getTime();
  const { rows } = await db.execute<FleetRow>(sql`
    select c.id, c.name, c.labels, a.${sql.identifier(`${kind}_digest`)} as assigned, busy.id as "busyWith",
      agents.list as agents
    from clusters c
    left join assignments a on a.cluster_id = c.id
    left join (
      select rc.cluster_id, min(r.id) as id
      from rollouts r join rollout_clusters rc on rc.rollout_id = r.id
      where r.finished_at is null and r.kind = ${kind} and rc.state <> 'removed' group by rc.cluster_id
    ) busy on busy.cluster_id = c.id
    left join (
      select g.cluster_id, json_agg(json_build_object(
        'lastSeenMs', extract(epoch from g.last_seen_at) * 1000, 'running', p.running_digest,
        'engine', g.engine_version)) as list
      from agents g left join agent_components p on p.agent_id = g.id and p.kind = ${kind}
      where g.revoked_at is null group by g.cluster_id
    ) agents on agents.cluster_id = c.id
    where c.retired_at is null and ${labelsIn(scope, "c")}
    order by c.name`);
  return rows.map((row) => clusterOf(row, nowMs));
}

interface FleetRow extends Record<string, unknown> {
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly assigned: Digest | null;
  readonly busyWith: RolloutId | null;
  readonly agents: readonly FleetAgent[] | null;
}

interface FleetAgent {
  readonly lastSeenMs: number | null;
  readonly running: Digest | null;
  /** Empty until it said so. */
  readonly engine: string;
}

function clusterOf(row: FleetRow, nowMs: number): FleetCluster {
  const all = (row.agents ?? []).map(({ lastSeenMs, ...agent }) => ({
    ...(lastSeenMs === null ? {} : { lastSeenMs }),
    ...agent,
  }));
  const agents = askedAgents(all, nowMs);
  const [running] = new Set(agents.map((agent) => agent.running));
  const isCommon = agents.every((agent) => agent.running === running);
  return {
    id: row.id,
    name: row.name,
    labels: row.labels,
    ...(row.assigned === null ? {} : { assigned: row.assigned }),
    ...(isCommon && running !== null && running !== undefined ? { running } : {}),
    silent: agents.length === 0 || agents.some((agent) => isSilent(agent.lastSeenMs, nowMs)),
    engines: agents.flatMap(({ engine }) => (engine === "" ? [] : [engine])),
    ...(row.busyWith === null ? {} : { busyWith: row.busyWith }),
  };
}
