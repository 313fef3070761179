import { sql, type SQL } from "./drizzle.ts";

import { layerOf, type ComponentName } from "../domain/component.ts";
import type { Digest, RolloutId } from "../domain/ids.ts";
import { askedAgents, isSilent, recentAgents, type Heard } from "../domain/liveness.ts";
import type { FleetCluster } from "../domain/rollout-plan.ts";
import type { Scope } from "../domain/scope.ts";
import { assignedOf, param } from "./assignments.ts";
import { epochMs } from "./epoch-ms.ts";
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
  const assigned = assignedOf(kind, sql`c.id`);
  const isLayer = layerOf(kind) !== undefined;
  // One row per agent, and one per cluster that has none. There is seldom a rollout under way, so that is asked once and not for each cluster.
  const { rows } = await db.execute<FleetRow>(sql`
    with busy as materialized (
      select r.id from rollouts r where r.kind = ${kind} and r.finished_at is null and not r.pending
    )
    select c.id, c.name, c.labels, ${assigned.digest} as assigned, a.rules_digest is not null as "hasRules",
      case when exists (select 1 from busy) then (
        select min(rc.rollout_id) from busy b join rollout_clusters rc on rc.rollout_id = b.id
        where rc.cluster_id = c.id and rc.state <> 'removed') end as "busyWith",
      agents.*
    from clusters c
    left join assignments a on a.cluster_id = c.id ${assigned.join}
    left join lateral (
      select g.id as agent, ${epochMs("g.last_seen_at")} as "lastSeenMs", ${epochMs("g.left_at")} as "leftMs",
        p.running_digest as running, g.engine_version as engine, ${isGivenUp(kind, assigned.digest)} as "isGivenUp",
        'layers' = any(g.capabilities) as "takesLayers"
      from agents g
      left join agent_components p on p.agent_id = g.id and p.kind = ${kind}
      where g.cluster_id = c.id and g.revoked_at is null
      -- Keeps it a question about one cluster: without statistics of a fleet that is new, each was compared with all agents.
      offset 0
    ) agents on true
    where c.retired_at is null and ${which}
    order by c.name, c.id`);
  return [...Map.groupBy(rows, ({ id }) => id).values()].flatMap((own) => {
    const [row] = own;
    if (row === undefined) return [];
    const agents = own.flatMap(agentIn);
    const cluster = clusterOf(row, agents, nowMs);
    return [isLayer ? forLayer(row, agents, cluster, nowMs) : cluster];
  });
}

/** Whether agent `g`, whose component of the kind is `p`, rejected what is assigned or went back from it. */
function isGivenUp(kind: ComponentName, assigned: SQL): SQL {
  // Attempts are looked at only where something else runs, which is seldom.
  return sql`case when p.running_digest is distinct from ${assigned} then exists (
    select 1 from attempts t where t.agent_id = g.id and t.kind = ${kind} and t.digest = ${assigned}
      and t.phase in ('rejected', 'rolled-back')) else false end`;
}

interface FleetRow extends Record<string, unknown>, AgentColumns {
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly assigned: Digest | null;
  readonly hasRules: boolean;
  readonly busyWith: RolloutId | null;
}

interface AgentColumns {
  /** Null where the cluster has no agent, and so are all that follow. */
  readonly agent: string | null;
  readonly lastSeenMs: number | null;
  readonly leftMs: number | null;
  readonly running: Digest | null;
  readonly isGivenUp: boolean;
  /** Empty until it said so. */
  readonly engine: string;
  readonly takesLayers: boolean;
}

interface FleetAgent extends Heard, Pick<AgentColumns, "running" | "isGivenUp" | "engine" | "takesLayers"> {}

/** What a layer that a team owns asks of a cluster besides. A release that was given up is nothing to go back to: none is better. */
function forLayer(
  { hasRules }: FleetRow,
  agents: readonly FleetAgent[],
  cluster: FleetCluster,
  nowMs: number,
): FleetCluster {
  const { assigned, ...rest } = cluster;
  const isDead = cluster.isGivenUp === true && cluster.running === undefined;
  const known = isDead || assigned === undefined ? rest : { ...rest, assigned };
  if (!hasRules) return { ...known, unfit: "it is assigned no rules to put it on" };
  const isOld = recentAgents(agents, nowMs).some(({ takesLayers }) => !takesLayers);
  return isOld ? { ...known, unfit: "an agent of it knows of no layers that teams own: upgrade it" } : known;
}

function agentIn({ agent, lastSeenMs, leftMs, ...columns }: FleetRow): readonly FleetAgent[] {
  if (agent === null) return [];
  const { running, isGivenUp, engine, takesLayers } = columns;
  const heard = { ...(lastSeenMs === null ? {} : { lastSeenMs }), ...(leftMs === null ? {} : { leftMs }) };
  return [{ ...heard, running, isGivenUp, engine, takesLayers }];
}

function clusterOf(row: FleetRow, all: readonly FleetAgent[], nowMs: number): FleetCluster {
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
