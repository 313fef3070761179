import { sql, type SQL } from "./drizzle.ts";

import { layerOf, type ComponentName } from "../domain/component.ts";
import type { Digest, RolloutId } from "../domain/ids.ts";
import { askedAgents, isSilent, recentAgents } from "../domain/liveness.ts";
import type { FleetCluster } from "../domain/rollout-plan.ts";
import type { Scope } from "../domain/scope.ts";
import { assignedOf, param } from "./assignments.ts";
import type { Db } from "./pool.ts";
import { labelsIn } from "./scopes.ts";

/** The fleet of a scope as a plan for one kind of bundle looks at it, without retired clusters. */
export async function readFleet(
  db: Db,
  scope: Scope,
  kind: ComponentName,
  now: Date,
): Promise<readonly FleetCluster[]> {
  return readClusters(db, kind, now, labelsIn(scope, "c"));
}

/** Some clusters as the plan of a rollout that takes them in late would look at them. */
export async function readLatecomers(
  db: Db,
  kind: ComponentName,
  now: Date,
  ids: readonly string[],
): Promise<readonly FleetCluster[]> {
  return readClusters(db, kind, now, sql`c.id = any(${param(ids)}::text[])`);
}

async function readClusters(
  db: Db,
  kind: ComponentName,
  now: Date,
  which: SQL,
): Promise<readonly FleetCluster[]> {
  const nowMs = now.getTime();
  const own = assignedOf(kind, sql`c.id`);
  const ofAgent = assignedOf(kind, sql`g.cluster_id`);
  const isLayer = layerOf(kind) !== undefined;
  const { rows } = await db.execute<FleetRow>(sql`
    select c.id, c.name, c.labels, ${own.digest} as assigned, a.rules_digest is not null as "hasRules",
      busy.id as "busyWith", agents.list as agents
    from clusters c
    left join assignments a on a.cluster_id = c.id ${own.join}
    left join (
      select rc.cluster_id, min(r.id) as id
      from rollouts r join rollout_clusters rc on rc.rollout_id = r.id
      where r.finished_at is null and not r.pending and r.kind = ${kind} and rc.state <> 'removed' group by rc.cluster_id
    ) busy on busy.cluster_id = c.id
    left join (
      select g.cluster_id, json_agg(json_build_object(
        'lastSeenMs', extract(epoch from g.last_seen_at) * 1000, 'leftMs', extract(epoch from g.left_at) * 1000,
        'running', p.running_digest,
        'engine', g.engine_version, 'isGivenUp', ${isGivenUp(kind, ofAgent.digest)},
        'takesLayers', 'layers' = any(g.capabilities))) as list
      from agents g
      left join assignments a on a.cluster_id = g.cluster_id ${ofAgent.join}
      left join agent_components p on p.agent_id = g.id and p.kind = ${kind}
      where g.revoked_at is null group by g.cluster_id
    ) agents on agents.cluster_id = c.id
    where c.retired_at is null and ${which}
    order by c.name`);
  return rows.map((row) => (isLayer ? forLayer(row, clusterOf(row, nowMs), nowMs) : clusterOf(row, nowMs)));
}

/** Whether agent `g`, whose component of the kind is `p`, rejected what is assigned or went back from it. */
function isGivenUp(kind: ComponentName, assigned: SQL): SQL {
  // Attempts are looked at only where something else runs, which is seldom.
  return sql`case when p.running_digest is distinct from ${assigned} then exists (
    select 1 from attempts t where t.agent_id = g.id and t.kind = ${kind} and t.digest = ${assigned}
      and t.phase in ('rejected', 'rolled-back')) else false end`;
}

interface FleetRow extends Record<string, unknown> {
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly assigned: Digest | null;
  readonly hasRules: boolean;
  readonly busyWith: RolloutId | null;
  readonly agents: readonly FleetAgent[] | null;
}

interface FleetAgent {
  readonly lastSeenMs: number | null;
  readonly leftMs: number | null;
  readonly running: Digest | null;
  readonly isGivenUp: boolean;
  /** Empty until it said so. */
  readonly engine: string;
  readonly takesLayers: boolean;
}

/** What a layer that a team owns asks of a cluster besides. A release that was given up is nothing to go back to: none is better. */
function forLayer({ hasRules, agents }: FleetRow, cluster: FleetCluster, nowMs: number): FleetCluster {
  const { assigned, ...rest } = cluster;
  const isDead = cluster.isGivenUp === true && cluster.running === undefined;
  const known = isDead || assigned === undefined ? rest : { ...rest, assigned };
  if (!hasRules) return { ...known, unfit: "it is assigned no rules to put it on" };
  const isOld = recentAgents(heardOf(agents), nowMs).some(({ takesLayers }) => !takesLayers);
  return isOld ? { ...known, unfit: "an agent of it knows of no layers that teams own: upgrade it" } : known;
}

function heardOf(agents: FleetRow["agents"]) {
  return (agents ?? []).map(({ lastSeenMs, leftMs, ...agent }) => ({
    ...(lastSeenMs === null ? {} : { lastSeenMs }),
    ...(leftMs === null ? {} : { leftMs }),
    ...agent,
  }));
}

function clusterOf(row: FleetRow, nowMs: number): FleetCluster {
  const all = heardOf(row.agents);
  const agents = askedAgents(all, nowMs);
  // One that left may come back: a plan made without it would not fit it then.
  const recent = recentAgents(all, nowMs);
  const [running] = new Set(agents.map((agent) => agent.running));
  const isCommon = agents.every((agent) => agent.running === running);
  return {
    id: row.id,
    name: row.name,
    labels: row.labels,
    ...(row.assigned === null ? {} : { assigned: row.assigned }),
    ...(isCommon && running !== null && running !== undefined ? { running } : {}),
    ...(recent.some((agent) => agent.isGivenUp) ? { isGivenUp: true } : {}),
    silent: agents.length === 0 || agents.some((agent) => isSilent(agent.lastSeenMs, nowMs)),
    engines: recent.flatMap(({ engine }) => (engine === "" ? [] : [engine])),
    ...(row.busyWith === null ? {} : { busyWith: row.busyWith }),
  };
}
