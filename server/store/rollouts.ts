import { and, desc, eq, inArray, isNull, lt, or, sql, type SQL } from "./drizzle.ts";

import type { ComponentName } from "../domain/component.ts";
import type { Digest, RolloutId } from "../domain/ids.ts";
import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import type { RolloutPlan } from "../domain/rollout-plan.ts";
import type { RolloutSpec } from "../domain/rollout-spec.ts";
import type { Rollout, RolloutState, Wave } from "../domain/rollout.ts";
import { isWholeFleet, type Scope } from "../domain/scope.ts";
import { param } from "./assignments.ts";
import type { Db, Transaction } from "./pool.ts";
import { rollouts } from "./schema.ts";
import { labelsIn } from "./scopes.ts";
import { touchClusters } from "./shadows.ts";
import { isShadowing } from "../domain/rollout-shadow.ts";

/**
 * That a rollout exists for a scope: one of its clusters is in it. One without clusters, whose bundle ran everywhere
 * already, exists for the scope that it was started under.
 */
function rolloutsIn(scope: Scope): SQL | undefined {
  if (isWholeFleet(scope)) return undefined;
  return sql`case when exists (select 1 from rollout_clusters rc where rc.rollout_id = ${rollouts.id})
    then exists (select 1 from rollout_clusters rc join clusters c on c.id = rc.cluster_id
      where rc.rollout_id = ${rollouts.id} and ${labelsIn(scope, "c")})
    else ${rollouts.scope} = ${JSON.stringify(scope)}::jsonb end`;
}

/** The clusters of a rollout that exist for a scope, by id. */
export async function listRolloutClusterIds(
  db: Db,
  scope: Scope,
  rolloutId: RolloutId,
): Promise<ReadonlySet<string>> {
  const { rows } = await db.execute<{ id: string }>(sql`
    select c.id from rollout_clusters rc join clusters c on c.id = rc.cluster_id
    where rc.rollout_id = ${rolloutId} and ${labelsIn(scope, "c")}`);
  return new Set(rows.map(({ id }) => id));
}

export async function findRollout(db: Db, scope: Scope, id: string): Promise<Outcome<Rollout>> {
  const [row] = await db
    .select()
    .from(rollouts)
    .where(and(eq(rollouts.id, id), rolloutsIn(scope)));
  return row === undefined ? refuse({ kind: "not-found", what: "rollout", id }) : accept(fromRow(row));
}

/** The rollout that an earlier call with the same request id started. */
export async function findRolloutByRequest(db: Db, requestId: string): Promise<Rollout | undefined> {
  const [row] = await db.select().from(rollouts).where(eq(rollouts.requestId, requestId));
  return row === undefined ? undefined : fromRow(row);
}

/** Some rollouts by id, oldest first. */
export async function findRollouts(db: Db, ids: readonly RolloutId[]): Promise<readonly Rollout[]> {
  if (ids.length === 0) return [];
  const rows = await db
    .select()
    .from(rollouts)
    .where(inArray(rollouts.id, [...ids]))
    .orderBy(rollouts.createdAt);
  return rows.map(fromRow);
}

/** Oldest first, so that nobody waits behind those that came later. */
export async function listUnfinishedRollouts(db: Db): Promise<readonly Rollout[]> {
  const rows = await db
    .select()
    .from(rollouts)
    .where(isNull(rollouts.finishedAt))
    .orderBy(rollouts.createdAt);
  return rows.map(fromRow);
}

export interface RolloutPage {
  readonly size: number;
  readonly unfinished: boolean;
  /** Where the page before ended. */
  readonly before?: { readonly createdAtMs: number; readonly id: string };
}

/** Newest first. */
export async function listRollouts(db: Db, scope: Scope, page: RolloutPage): Promise<readonly Rollout[]> {
  const { before } = page;
  const createdAt = new Date(before?.createdAtMs ?? 0);
  const isOlder =
    before === undefined
      ? undefined
      : or(
          lt(rollouts.createdAt, createdAt),
          and(eq(rollouts.createdAt, createdAt), lt(rollouts.id, before.id)),
        );
  const rows = await db
    .select()
    .from(rollouts)
    .where(and(rolloutsIn(scope), isOlder, page.unfinished ? isNull(rollouts.finishedAt) : undefined))
    .orderBy(desc(rollouts.createdAt), desc(rollouts.id))
    .limit(page.size);
  return rows.map(fromRow);
}

/** How many clusters some rollouts have. */
export async function countRolloutClusters(
  db: Db,
  ids: readonly RolloutId[],
): Promise<ReadonlyMap<RolloutId, number>> {
  if (ids.length === 0) return new Map();
  const { rows } = await db.execute<{ id: RolloutId; count: number }>(sql`
    select rollout_id as id, count(*)::int as count from rollout_clusters
    where rollout_id = any(${param(ids)}::text[]) group by rollout_id`);
  return new Map(rows.map(({ id, count }) => [id, count]));
}

/** How many clusters some rollouts are for, and how many of them proved it; those that left are not counted. */
export async function countRolloutSteps(
  db: Db,
  ids: readonly RolloutId[],
): Promise<ReadonlyMap<string, { readonly proved: number; readonly clusters: number }>> {
  if (ids.length === 0) return new Map();
  const { rows } = await db.execute<{ id: string; proved: number; clusters: number }>(sql`
    select rollout_id as id, (count(*) filter (where state = 'proved'))::int as proved, count(*)::int as clusters
    from rollout_clusters where rollout_id = any(${param(ids)}::text[]) and state <> 'removed' group by rollout_id`);
  return new Map(rows.map(({ id, ...counts }) => [id, counts]));
}

/**
 * Lets one caller at a time decide which clusters are in which rollout of a kind, until the transaction ends: two
 * rollouts that are started at once could otherwise both find the same clusters free.
 */
export async function lockRollouts(tx: Transaction, kind: ComponentName): Promise<void> {
  await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${`falconry rollouts ${kind}`}, 0))`);
}

/** Stores a rollout with its clusters, all of them waiting. */
export async function insertRollout(
  tx: Transaction,
  rollout: Rollout,
  plan: RolloutPlan,
  requestId: string,
): Promise<void> {
  await tx.insert(rollouts).values({
    id: rollout.id,
    kind: rollout.spec.kind,
    digest: rollout.digest,
    spec: rollout.spec,
    state: rollout.state,
    because: rollout.because,
    wave: rollout.wave,
    generation: rollout.generation,
    planDigest: rollout.planDigest,
    waves: rollout.waves,
    requestId: requestId === "" ? null : requestId,
    createdBy: rollout.createdBy,
    createdAt: new Date(rollout.createdAtMs),
    finishedAt: null,
    scope: rollout.scope,
    pending: rollout.pending === true,
    need: rollout.need ?? null,
    starters: rollout.starters ?? [],
    traceparent: rollout.traceparent ?? null,
  });
  await insertClusters(tx, rollout.id, plan);
  if (isShadowing(rollout)) await touchClusters(tx, rollout.id);
}

/** The clusters of a plan, all of them waiting. */
export async function insertClusters(tx: Transaction, id: RolloutId, plan: RolloutPlan): Promise<void> {
  const clusters = plan.waves.flatMap((wave, i) => wave.clusters.map((cluster) => ({ ...cluster, wave: i })));
  await tx.execute(sql`
    insert into rollout_clusters (rollout_id, cluster_id, wave, previous_digest)
    select ${id}, x.* from unnest(
      ${param(clusters.map((cluster) => cluster.id))}::text[],
      ${param(clusters.map((cluster) => cluster.wave))}::int[],
      ${param(clusters.map((cluster) => cluster.previous ?? null))}::text[]
    ) as x`);
}

function fromRow(row: typeof rollouts.$inferSelect): Rollout {
  return {
    id: row.id as RolloutId,
    // What is stored was made by `parseRolloutSpec` and `planRollout`.
    spec: row.spec as RolloutSpec,
    digest: row.digest as Digest,
    state: row.state as RolloutState,
    because: row.because,
    wave: row.wave,
    generation: row.generation,
    planDigest: row.planDigest,
    waves: row.waves as readonly Wave[],
    createdBy: row.createdBy,
    scope: row.scope,
    createdAtMs: row.createdAt.getTime(),
    ...(row.pending ? { pending: true } : {}),
    ...(row.need === null ? {} : { need: row.need }),
    starters: row.starters,
    ...(row.traceparent === null ? {} : { traceparent: row.traceparent }),
    ...(row.finishedAt === null ? {} : { finishedAtMs: row.finishedAt.getTime() }),
  };
}
