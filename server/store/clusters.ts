import { and, asc, desc, eq, gte, inArray, isNull, or, sql, type AnyColumn } from "drizzle-orm";

import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import type { Scope } from "../domain/scope.ts";
import type { AuditNote } from "./audit-entries.ts";
import { param } from "./assignments.ts";
import { notifyChanged } from "./notify.ts";
import type { Database, Db } from "./pool.ts";
import {
  agentComponents,
  agents,
  assignments,
  type attempts,
  clusters,
  nextChange,
  rates,
  type Labels,
} from "./schema.ts";
import { clustersIn } from "./scopes.ts";

export type ClusterRow = typeof clusters.$inferSelect;
export type AgentRow = typeof agents.$inferSelect;
export type ComponentRow = typeof agentComponents.$inferSelect;
export type AttemptRow = typeof attempts.$inferSelect;
export type AssignmentRow = typeof assignments.$inferSelect;
export type RateRow = typeof rates.$inferSelect;

/** The name, labels and standing of every cluster of a scope: what selectors choose from. */
export async function listClusters(
  db: Db,
  scope: Scope,
  includeRetired: boolean,
): Promise<readonly ClusterRow[]> {
  return db
    .select()
    .from(clusters)
    .where(and(clustersIn(scope), includeRetired ? undefined : isNull(clusters.retiredAt)));
}

/** By id or by name; names have no underscore, so the two never meet. */
export async function findCluster(db: Db, scope: Scope, idOrName: string): Promise<Outcome<ClusterRow>> {
  const [row] = await db
    .select()
    .from(clusters)
    .where(and(clustersIn(scope), or(eq(clusters.id, idOrName), eq(clusters.name, idOrName))));
  return row === undefined ? noCluster(idOrName) : accept(row);
}

function noCluster(idOrName: string) {
  return refuse({ kind: "not-found", what: "cluster", id: idOrName.slice(0, 80) });
}

/** A minute that covers less says too little about a rate. */
const secondsShownMin = 10;

/** Everything that belongs to some clusters, in one snapshot. */
export interface ClusterParts {
  readonly agents: readonly AgentRow[];
  readonly components: readonly ComponentRow[];
  /** Newest generation first; of each agent and kind at most as many as asked for. */
  readonly attempts: readonly AttemptRow[];
  readonly assignments: readonly AssignmentRow[];
  /** Of each agent the newest of the last few minutes. */
  readonly rates: readonly RateRow[];
}

export async function loadClusterParts(
  db: Database,
  clusterIds: readonly string[],
  options: { readonly attemptsPerKind: number; readonly ratesSince: Date },
): Promise<ClusterParts> {
  const ids = [...clusterIds];
  if (ids.length === 0) return { agents: [], components: [], attempts: [], assignments: [], rates: [] };
  // One snapshot, so that a cluster is never shown half before and half after a report.
  return db.transaction(
    async (tx) => ({
      agents: await tx
        .select()
        .from(agents)
        .where(and(inArray(agents.clusterId, ids), isNull(agents.revokedAt)))
        .orderBy(asc(agents.name)),
      components: await listComponents(tx, ids),
      attempts: await listAttempts(tx, ids, options.attemptsPerKind),
      assignments: await tx.select().from(assignments).where(inArray(assignments.clusterId, ids)),
      rates: await tx
        .selectDistinctOn([rates.agentId])
        .from(rates)
        .where(
          and(
            inArray(rates.clusterId, ids),
            gte(rates.minute, options.ratesSince),
            gte(rates.seconds, secondsShownMin),
          ),
        )
        .orderBy(rates.agentId, desc(rates.minute)),
    }),
    { isolationLevel: "repeatable read", accessMode: "read only" },
  );
}

function agentsOf(db: Db, ids: string[]) {
  return db.select({ id: agents.id }).from(agents).where(inArray(agents.clusterId, ids));
}

function listComponents(db: Db, ids: string[]) {
  return db
    .select()
    .from(agentComponents)
    .where(inArray(agentComponents.agentId, agentsOf(db, ids)));
}

/** By generation first: an agent whose clock was wrong once would otherwise show that attempt as its newest for ever. */
async function listAttempts(db: Db, ids: string[], perKind: number): Promise<readonly AttemptRow[]> {
  const { rows } = await db.execute<Record<string, unknown> & AttemptText>(sql`
    select t.agent_id as "agentId", t.kind, t.digest, t.generation::text, t.phase, t.reason, t.detail,
      ${perKind === 1 ? sql`''` : sql`t.log_tail`} as "logTail",
      (extract(epoch from t.at) * 1000)::float8 as "atMs"
    from agents g cross join (values ('rules'), ('shipper')) as k (kind) cross join lateral (
      select * from attempts a where a.agent_id = g.id and a.kind = k.kind
      order by a.generation desc, a.at desc limit ${perKind}) t
    where g.cluster_id = any(${param(ids)}::text[])
    order by t.generation desc, t.at desc`);
  return rows.map(({ atMs, generation, ...row }) => ({
    ...row,
    at: new Date(atMs),
    generation: BigInt(generation),
  }));
}

type AttemptText = Omit<AttemptRow, "at" | "generation"> & {
  readonly atMs: number;
  readonly generation: string;
};

/** Changes labels, unless somebody else did since `before` was read. */
export async function replaceLabels(
  db: Database,
  before: ClusterRow,
  labels: Labels,
  note: AuditNote,
): Promise<Outcome<ClusterRow>> {
  return db.transaction(async (tx) => {
    const [row] = await tx
      .update(clusters)
      .set({ labels, changed: nextChange() })
      .where(and(eq(clusters.id, before.id), eq(clusters.changed, before.changed)))
      .returning();
    if (row === undefined) return refuse({ kind: "stale", what: "cluster", seen: before.changed });
    await notifyChanged(tx);
    await note(tx, { target: row.name });
    return accept(row);
  });
}

/** Retires for good; retiring again keeps the first time. */
export async function retireCluster(
  db: Database,
  scope: Scope,
  idOrName: string,
  now: Date,
  note: AuditNote,
): Promise<Outcome<ClusterRow>> {
  return db.transaction(async (tx) => {
    const [row] = await tx
      .update(clusters)
      .set({
        retiredAt: sql`coalesce(${clusters.retiredAt}, ${now.toISOString()}::timestamptz)`,
        changed: nextChange(),
      })
      .where(and(clustersIn(scope), or(eq(clusters.id, idOrName), eq(clusters.name, idOrName))))
      .returning();
    if (row === undefined) return noCluster(idOrName);
    await notifyChanged(tx);
    await note(tx, { target: row.name });
    return accept(row);
  });
}

/** One minute of one cluster, summed over its agents; of lag and seconds the highest counts. */
export interface ClusterMinute {
  readonly clusterId: string;
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

/** Oldest first. Minutes without a report are not there. */
export async function listClusterMinutes(
  db: Db,
  clusterIds: readonly string[],
  since: Date,
): Promise<readonly ClusterMinute[]> {
  if (clusterIds.length === 0) return [];
  const total = (column: AnyColumn) => sql<bigint>`sum(${column})`.mapWith(BigInt);
  return db
    .select({
      clusterId: rates.clusterId,
      minute: rates.minute,
      events: total(rates.events),
      bytes: total(rates.bytes),
      alerts: total(rates.alerts),
      dropped: total(rates.dropped),
      parked: total(rates.parked),
      lagMs: sql<bigint>`max(${rates.lagMs})`.mapWith(BigInt),
      detectionUs: total(rates.detectionUs),
      seconds: sql<number>`max(${rates.seconds})`.mapWith(Number),
    })
    .from(rates)
    .where(and(inArray(rates.clusterId, [...clusterIds]), gte(rates.minute, since)))
    .groupBy(rates.clusterId, rates.minute)
    .orderBy(asc(rates.minute));
}
