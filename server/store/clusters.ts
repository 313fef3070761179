import {
  and,
  asc,
  count,
  desc,
  eq,
  getTableColumns,
  gte,
  inArray,
  isNull,
  or,
  sql,
  type AnyColumn,
  type SQL,
} from "./drizzle.ts";

import type { ClusterOrder, ClusterPlace } from "../domain/cluster-page.ts";
import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import type { Scope } from "../domain/scope.ts";
import type { Selector } from "../domain/selector.ts";
import type { AuditNote } from "./audit-entries.ts";
import { anyOf, param, renewAssignments } from "./assignments.ts";
import { notifyChanged } from "./notify.ts";
import type { Database, Db } from "./pool.ts";
import {
  agentComponents,
  agents,
  assignments,
  type attempts,
  clusters,
  rates,
  type Labels,
} from "./schema.ts";
import { nextChange } from "./columns.ts";
import { clustersIn } from "./scopes.ts";
import { whereLabels } from "./selectors.ts";

export type ClusterRow = typeof clusters.$inferSelect;
export type AgentRow = Pick<typeof agents.$inferSelect, keyof typeof agentShown>;
export type ComponentRow = typeof agentComponents.$inferSelect;
/** A release of a layer that a cluster is assigned. */
export interface LayerRow {
  readonly clusterId: string;
  readonly layer: string;
  readonly digest: string;
}

export type AttemptRow = typeof attempts.$inferSelect;
export type AssignmentRow = typeof assignments.$inferSelect;
export type RateRow = typeof rates.$inferSelect;

/** The clusters that somebody asks for: those of his scope that match. */
export interface ClusterChoice {
  readonly scope: Scope;
  readonly selector: Selector;
  readonly includeRetired: boolean;
}

/** What people are shown of an agent, and what its health is judged by: of its keys and sessions a page would read more than of that. */
const agentShown = {
  id: agents.id,
  clusterId: agents.clusterId,
  name: agents.name,
  version: agents.version,
  transport: agents.transport,
  certificateExpiresAt: agents.certificateExpiresAt,
  connectedAt: agents.connectedAt,
  disconnectedAt: agents.disconnectedAt,
  lastSeenAt: agents.lastSeenAt,
  leftAt: agents.leftAt,
  createdAt: agents.createdAt,
  observedGeneration: agents.observedGeneration,
  conditions: agents.conditions,
  suspicions: agents.suspicions,
};

/** Names by code unit, whatever the database sorts text by. */
const byName = sql`clusters.name collate "C"`;

function chosen({ scope, selector, includeRetired }: ClusterChoice) {
  return and(
    clustersIn(scope),
    whereLabels(sql`clusters.labels`, selector),
    includeRetired ? undefined : isNull(clusters.retiredAt),
  );
}

/** The name, labels and standing of every cluster that is chosen, in the order of their names. */
export async function listClusters(db: Db, choice: ClusterChoice): Promise<readonly ClusterRow[]> {
  return db.select().from(clusters).where(chosen(choice)).orderBy(byName);
}

export interface ClusterPage {
  readonly rows: readonly ClusterRow[];
  /** Where the page ends; undefined when none follows. */
  readonly end: ClusterPlace | undefined;
  /** Clusters that are chosen, over all pages. */
  readonly total: number;
}

/** What the orders compare, ascending, in microseconds as the database keeps them. */
const orderKeys: Readonly<Record<ClusterOrder, SQL>> = {
  name: sql`0::bigint`,
  newest: sql`-(extract(epoch from clusters.created_at) * 1000000)::bigint`,
  unheard: sql`(select coalesce(max((extract(epoch from g.last_seen_at) * 1000000)::bigint), 0) from agents g
    where g.cluster_id = clusters.id and g.revoked_at is null)`,
};

/** One page of the clusters that are chosen, from a place on. The database reads the rows of the page and no others. */
export async function pageClusters(
  db: Database,
  choice: ClusterChoice,
  page: { readonly order: ClusterOrder; readonly after: ClusterPlace | undefined; readonly size: number },
): Promise<ClusterPage> {
  const { order, after, size } = page;
  const key = orderKeys[order];
  const isByName = order === "name";
  const rest =
    after === undefined
      ? undefined
      : isByName
        ? sql`${byName} > ${after.name}`
        : sql`(${key}, ${byName}) > (${after.key}::bigint, ${after.name})`;
  const [found, [{ total } = { total: 0 }]] = await Promise.all([
    db
      .select({ row: getTableColumns(clusters), key: sql<bigint>`${key}`.mapWith(BigInt) })
      .from(clusters)
      .where(and(chosen(choice), rest))
      .orderBy(...(isByName ? [byName] : [key, byName]))
      .limit(size + 1),
    db.select({ total: count() }).from(clusters).where(chosen(choice)),
  ]);
  const last = found.length > size ? found[size - 1] : undefined;
  return {
    rows: found.slice(0, size).map(({ row }) => row),
    end: last === undefined ? undefined : { key: last.key, name: last.row.name },
    total,
  };
}

/** Those of a scope, in no order. Ids of clusters that are not there are left out. */
export async function listClustersById(
  db: Db,
  scope: Scope,
  ids: readonly string[],
): Promise<readonly ClusterRow[]> {
  if (ids.length === 0) return [];
  return db
    .select()
    .from(clusters)
    .where(and(clustersIn(scope), anyOf(clusters.id, ids)));
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
export const secondsShownMin: number = 10;

/** Everything that belongs to some clusters, in one snapshot. */
export interface ClusterParts {
  readonly agents: readonly AgentRow[];
  readonly components: readonly ComponentRow[];
  /** Newest generation first; of each agent and kind at most as many as asked for. */
  readonly attempts: readonly AttemptRow[];
  readonly assignments: readonly AssignmentRow[];
  /** What the assignments name of layers that teams own. */
  readonly layers: readonly LayerRow[];
  /** Of each agent the newest of the last few minutes. */
  readonly rates: readonly RateRow[];
}

export async function loadClusterParts(
  db: Database,
  ids: readonly string[],
  options: { readonly attemptsPerKind: number; readonly ratesSince: Date },
): Promise<ClusterParts> {
  if (ids.length === 0) {
    return { agents: [], components: [], attempts: [], assignments: [], layers: [], rates: [] };
  }
  // One snapshot, so that a cluster is never shown half before and half after a report.
  return db.transaction(
    async (tx) => ({
      agents: await tx
        .select(agentShown)
        .from(agents)
        .where(and(anyOf(agents.clusterId, ids), isNull(agents.revokedAt)))
        .orderBy(asc(agents.name)),
      components: await listComponents(tx, ids),
      attempts: await listAttempts(tx, ids, options.attemptsPerKind),
      assignments: await tx.select().from(assignments).where(anyOf(assignments.clusterId, ids)),
      layers: await listLayers(tx, ids),
      rates: await tx
        .selectDistinctOn([rates.agentId])
        .from(rates)
        .where(
          and(
            anyOf(rates.clusterId, ids),
            gte(rates.minute, options.ratesSince),
            gte(rates.seconds, secondsShownMin),
          ),
        )
        .orderBy(rates.agentId, desc(rates.minute)),
    }),
    { isolationLevel: "repeatable read", accessMode: "read only" },
  );
}

async function listLayers(db: Db, ids: readonly string[]): Promise<readonly LayerRow[]> {
  const { rows } = await db.execute<Record<string, unknown> & LayerRow>(sql`
    select cluster_id as "clusterId", layer, digest from assignment_layers
    where cluster_id = any(${param(ids)}::text[]) and digest is not null order by cluster_id, layer`);
  return rows;
}

function agentsOf(db: Db, ids: readonly string[]) {
  return db.select({ id: agents.id }).from(agents).where(anyOf(agents.clusterId, ids));
}

function listComponents(db: Db, ids: readonly string[]) {
  return db
    .select()
    .from(agentComponents)
    .where(inArray(agentComponents.agentId, agentsOf(db, ids)));
}

/** By generation first: an agent whose clock was wrong once would otherwise show that attempt as its newest for ever. */
async function listAttempts(db: Db, ids: readonly string[], perKind: number): Promise<readonly AttemptRow[]> {
  const { rows } = await db.execute<Record<string, unknown> & AttemptText>(sql`
    select t.agent_id as "agentId", t.kind, t.digest, t.generation::text, t.phase, t.reason, t.detail,
      ${perKind === 1 ? sql`''` : sql`t.log_tail`} as "logTail",
      (extract(epoch from t.at) * 1000)::float8 as "atMs"
    from agents g cross join lateral (
      select unnest(array['rules', 'shipper'])
      union select c.kind from agent_components c where c.agent_id = g.id
    ) as k (kind) cross join lateral (
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
  now: Date,
  note: AuditNote,
): Promise<Outcome<ClusterRow>> {
  return db.transaction(async (tx) => {
    const [row] = await tx
      .update(clusters)
      .set({ labels, changed: nextChange() })
      .where(and(eq(clusters.id, before.id), eq(clusters.changed, before.changed)))
      .returning();
    if (row === undefined) return refuse({ kind: "stale", what: "cluster", seen: before.changed });
    await renewAssignments(tx, [row.id], now);
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
    .where(and(anyOf(rates.clusterId, clusterIds), gte(rates.minute, since)))
    .groupBy(rates.clusterId, rates.minute)
    .orderBy(asc(rates.minute));
}
