import { sql } from "./drizzle.ts";

import type { RolloutId } from "../domain/ids.ts";
import { silentAfterMs } from "../domain/liveness.ts";
import { wayBack } from "../domain/rollout-plan.ts";
import { placeLate } from "../domain/rollout-waves.ts";
import type { Rollout } from "../domain/rollout.ts";
import { isShadowing } from "../domain/rollout-shadow.ts";
import { assignedOf, param } from "./assignments.ts";
import { readLatecomers } from "./fleet.ts";
import { isListed } from "./listed.ts";
import { notifyChanged } from "./notify.ts";
import type { Db } from "./pool.ts";
import { findRollouts, lockRollouts } from "./rollouts.ts";
import { touchClusters } from "./shadows.ts";
import { labelsIn } from "./scopes.ts";
import { whereLabels } from "./selectors.ts";

/** More come with the next turn. */
const admittedMax = 1000;

interface Latecomer extends Record<string, unknown> {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * Takes clusters into a rollout that joined the fleet or its selector after it was planned. A rollout that has succeeded
 * takes only those that joined the fleet since, as they could not have known. Never one that another unfinished or a newer
 * rollout of the kind has to do with. Answers with how many were taken.
 */
export async function admitLate(db: Db, rollout: Rollout): Promise<number> {
  if (rollout.waves.length === 0 || (await listLate(db, rollout)).length === 0) return 0;
  return db.transaction(async (tx) => {
    // The lock under which rollouts start, so that none takes the same cluster at the same moment.
    await lockRollouts(tx, rollout.spec.kind);
    const { rows: still } = await tx.execute(sql`
      select 1 from rollouts where id = ${rollout.id} and generation = ${rollout.generation} for update`);
    const late = still.length === 0 ? [] : await listLate(tx, rollout);
    if (late.length === 0) return 0;
    const found = await readLatecomers(
      tx,
      rollout.spec.kind,
      new Date(),
      late.map(({ id }) => id),
    );
    const back = new Map(found.map((cluster) => [cluster.id, wayBack(cluster, rollout.digest)]));
    await tx.execute(sql`
      insert into rollout_clusters as rc (rollout_id, cluster_id, wave, previous_digest, late)
      select ${rollout.id}, x.*, true from unnest(
        ${param(late.map(({ id }) => id))}::text[],
        ${param(late.map(({ labels }) => placeLate(rollout.spec, rollout.waves, labels)))}::int[],
        ${param(late.map(({ id }) => back.get(id) ?? null))}::text[]
      ) as x
      on conflict (rollout_id, cluster_id) do update set state = 'waiting', reason = '', wave = excluded.wave,
        previous_digest = excluded.previous_digest, late = true
      where rc.state = 'removed' and rc.generation = 0`);
    if (isShadowing(rollout)) await touchClusters(tx, rollout.id);
    await notifyChanged(tx);
    return late.length;
  });
}

async function listLate(db: Db, rollout: Rollout): Promise<readonly Latecomer[]> {
  const { kind, selector } = rollout.spec;
  const createdAt = sql`${new Date(rollout.createdAtMs).toISOString()}::timestamptz`;
  const isOver = rollout.state === "succeeded";
  const since = isOver ? sql`c.created_at >= ${createdAt}` : sql`true`;
  // Who left before it was given the bundle may come back while the rollout runs, and not after.
  const isIn = isOver ? sql`true` : sql`(rc.state <> 'removed' or rc.generation > 0)`;
  const own = assignedOf(kind, sql`c.id`);
  const { rows } = await db.execute<Latecomer>(sql`
    select c.id, c.labels
    from clusters c left join assignments a on a.cluster_id = c.id ${own.join}
    where c.retired_at is null and ${since} and ${labelsIn(rollout.scope, "c")}
      and ${whereLabels(sql`c.labels`, selector)} and ${own.digest} is distinct from ${rollout.digest}
      -- Not as joins: of a rollout that has just begun the planner has no statistics, and would compare each cluster with each.
      and c.id not in (select rc.cluster_id from rollout_clusters rc where rc.rollout_id = ${rollout.id} and ${isIn})
      and c.id not in (select rc.cluster_id from rollouts r join rollout_clusters rc on rc.rollout_id = r.id
        where r.kind = ${kind} and r.id <> ${rollout.id} and rc.state <> 'removed'
          and (r.finished_at is null or r.created_at > ${createdAt}))
    order by c.name limit ${admittedMax}`);
  return rows;
}

/**
 * How long after its end a rollout still takes clusters that joined the fleet in that moment: much longer than an enrolment
 * takes, and short, because each such rollout is a query over the fleet every few seconds.
 */
const lateMs = 3_600_000;

export interface CatchUp {
  readonly rollout: Rollout;
  /** A cluster that it owes the bundle was heard of, or one was given it and has not proved it. */
  readonly isOpen: boolean;
}

/**
 * Rollouts that succeeded and for which there may be something to do: they are open, or they ended not long ago. None whose
 * bundle is no longer released.
 */
export async function listCatchUps(db: Db, now: Date): Promise<readonly CatchUp[]> {
  const before = (ms: number) => sql`${new Date(now.getTime() - ms).toISOString()}::timestamptz`;
  const { rows } = await db.execute<{ id: RolloutId; isOpen: boolean }>(sql`
    select * from (
      select r.id, r.finished_at, exists (
        select 1 from rollout_clusters rc where rc.rollout_id = r.id and rc.state in ('waiting', 'assigned')
          and (rc.state = 'assigned' or exists (select 1 from agents g
            where g.cluster_id = rc.cluster_id and g.last_seen_at > ${before(silentAfterMs)}))) as "isOpen"
      from rollouts r join bundles b on b.digest = r.digest
      where r.state = 'succeeded'
        and ${isListed("b")}
    ) found where "isOpen" or finished_at > ${before(lateMs)}`);
  const open = new Map(rows.map(({ id, isOpen }) => [id, isOpen]));
  const rollouts = await findRollouts(db, [...open.keys()]);
  return rollouts.map((rollout) => ({ rollout, isOpen: open.get(rollout.id) ?? false }));
}
