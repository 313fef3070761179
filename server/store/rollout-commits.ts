import { sql } from "./drizzle.ts";

import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import type { ClusterChange, RolloutCluster } from "../domain/rollout-cluster.ts";
import { isShadowing } from "../domain/rollout-shadow.ts";
import { isFinished, type Rollout } from "../domain/rollout.ts";
import { numbersParam, param, reassign } from "./assignments.ts";
import { lockFreeze } from "./freezes.ts";
import { notifyChanged } from "./notify.ts";
import { insertAct, type RolloutAct } from "./rollout-people.ts";
import type { Db, Transaction } from "./pool.ts";
import { touchClusters } from "./shadows.ts";

/** What becomes of a rollout and its clusters, all at once. */
export interface RolloutCommit {
  readonly before: Rollout;
  /** The same generation as `before` when only clusters or words change. */
  readonly after: Rollout;
  readonly changes: readonly ClusterChange[];
  /** The clusters that the decision was made on. */
  readonly seen: readonly RolloutCluster[];
  /** A wave begins, unless the fleet was frozen in between. */
  readonly begins?: boolean;
  /** What people read of it later. */
  readonly act?: RolloutAct;
}

class Stale extends Error {}

/**
 * Writes all or nothing. Refused as stale when the rollout, one of its clusters or an assignment is no longer what the
 * decision was made on: whoever lost reads again. A server that dies in between has written nothing.
 */
export async function commitRollout(db: Db, commit: RolloutCommit, now: Date): Promise<Outcome<Rollout>> {
  try {
    await db.transaction((tx) => write(tx, commit, now));
    return accept(commit.after);
  } catch (error) {
    if (!(error instanceof Stale)) throw error;
    return refuse({ kind: "stale", what: "rollout", seen: commit.before.generation });
  }
}

async function write(
  tx: Transaction,
  { before, after, changes, seen, begins, act }: RolloutCommit,
  now: Date,
): Promise<void> {
  // Locks the row for as long as this transaction writes, so that of two servers the second sees what the first did.
  const { rows } = await tx.execute(sql`
    select 1 from rollouts where id = ${before.id} and generation = ${before.generation} for update`);
  if (rows.length === 0) throw new Stale();
  const isEmergency = before.spec.people?.emergency === true;
  if (begins === true && !isEmergency && (await lockFreeze(tx, now)) !== undefined) throw new Stale();
  // A step of the whole rollout is decided on all of its clusters, also on those that it leaves alone: one that was
  // assigned in between would otherwise be forgotten by an abort or an undo.
  if (after.generation !== before.generation) await checkPicture(tx, before, seen);

  const clusters = new Map(seen.map((cluster) => [cluster.id, cluster]));
  const reassignments = changes.flatMap(({ id, assign }) => {
    const seen = clusters.get(id)?.assignment.generation ?? 0n;
    return assign === undefined ? [] : [{ clusterId: id, digest: assign, seen }];
  });
  const generations = await reassign(tx, before.spec.kind, before.id, reassignments, now);
  if (generations.size !== reassignments.length) throw new Stale();
  await changeClusters(tx, before, changes, clusters, generations, now);
  await replaceRollout(tx, before, after);
  if (act !== undefined) await insertAct(tx, before, act, now);
  if (after.generation !== before.generation) await notifyChanged(tx);
  // A shadow whose time is over ends by itself on the agents; one that is called off does not.
  if (isShadowing(before) && isFinished(after.state)) await touchClusters(tx, before.id);
}

/** Every cluster of the rollout is where the decision saw it. The rollout's row is locked, so it stays there. */
async function checkPicture(
  tx: Transaction,
  rollout: Rollout,
  seen: readonly RolloutCluster[],
): Promise<void> {
  const { rows } = await tx.execute(sql`
    -- Not as a join: of a rollout that has just begun the planner has no statistics, and would compare each cluster with each.
    select cluster_id, state, generation from rollout_clusters where rollout_id = ${rollout.id}
    except select * from unnest(
      ${param(seen.map((cluster) => cluster.id))}::text[],
      ${param(seen.map((cluster) => cluster.state))}::text[],
      ${numbersParam(seen.map((cluster) => cluster.generation))}::bigint[]
    ) limit 1`);
  if (rows.length > 0) throw new Stale();
}

async function changeClusters(
  tx: Transaction,
  rollout: Rollout,
  changes: readonly ClusterChange[],
  seen: ReadonlyMap<string, RolloutCluster>,
  generations: ReadonlyMap<string, bigint>,
  now: Date,
): Promise<void> {
  if (changes.length === 0) return;
  const at = sql`${now.toISOString()}::timestamptz`;
  const { rows } = await tx.execute(sql`
    update rollout_clusters rc set
      state = x.state,
      reason = x.reason,
      generation = coalesce(x.generation, rc.generation),
      assigned_at = case when x.generation is null then rc.assigned_at else ${at} end,
      proved_at = case
        when x.generation is not null then null
        when x.state in ('proved', 'reverted') then coalesce(rc.proved_at, ${at})
        else rc.proved_at end
    from unnest(
      ${param(changes.map((change) => change.id))}::text[],
      ${param(changes.map((change) => change.to))}::text[],
      ${param(changes.map((change) => change.reason))}::text[],
      ${param(changes.map((change) => generations.get(change.id)?.toString() ?? null))}::bigint[],
      ${param(changes.map((change) => seen.get(change.id)?.state ?? ""))}::text[],
      ${param(changes.map((change) => String(seen.get(change.id)?.generation ?? 0n)))}::bigint[]
    ) as x (cluster_id, state, reason, generation, seen_state, seen_generation)
    where rc.rollout_id = ${rollout.id} and rc.cluster_id = x.cluster_id
      and rc.state = x.seen_state and rc.generation = x.seen_generation
    returning rc.cluster_id`);
  if (rows.length !== changes.length) throw new Stale();
}

async function replaceRollout(tx: Transaction, before: Rollout, after: Rollout): Promise<void> {
  if (after.generation === before.generation && after.because === before.because) return;
  const finishedAt = after.finishedAtMs === undefined ? null : new Date(after.finishedAtMs).toISOString();
  await tx.execute(sql`
    update rollouts set state = ${after.state}, because = ${after.because}, wave = ${after.wave},
      generation = ${after.generation}, waves = ${JSON.stringify(after.waves)}::jsonb,
      finished_at = ${finishedAt}::timestamptz, pending = ${after.pending === true},
      need = ${after.need === undefined ? null : JSON.stringify(after.need)}::jsonb
    where id = ${before.id}`);
}
