import { desc, eq, sql } from "./drizzle.ts";

import type { RolloutId } from "../domain/ids.ts";
import type { Approval } from "../domain/people/approval.ts";
import type { RolloutPlan } from "../domain/rollout-plan.ts";
import type { Rollout } from "../domain/rollout.ts";
import { isShadowing } from "../domain/rollout-shadow.ts";
import type { Db, Transaction } from "./pool.ts";
import { rolloutActs, rolloutApprovals, rolloutClusters, rollouts } from "./schema.ts";
import { touchClusters } from "./shadows.ts";
import { insertClusters } from "./rollouts.ts";

/** Something that was done with a rollout, for people who ask later. */
export interface RolloutAct {
  /** Empty for the server itself. */
  readonly who: string;
  readonly what: string;
  readonly why: string;
}

const actsShownMax = 200;
const charsMax = 1_000;

export async function insertAct(
  tx: Transaction,
  rollout: Rollout,
  act: RolloutAct,
  now: Date,
): Promise<void> {
  const { id: rolloutId, planDigest } = rollout;
  const why = act.why.slice(0, charsMax);
  await tx.insert(rolloutActs).values({ rolloutId, at: now, who: act.who, what: act.what, why, planDigest });
}

/** The newest, oldest first. */
export async function listActs(db: Db, id: RolloutId): Promise<readonly (typeof rolloutActs.$inferSelect)[]> {
  const rows = await db
    .select()
    .from(rolloutActs)
    .where(eq(rolloutActs.rolloutId, id))
    .orderBy(desc(rolloutActs.sequence))
    .limit(actsShownMax);
  return rows.toReversed();
}

/** Every approval that a rollout was given, also those that count no more. */
export async function listApprovals(db: Db, id: RolloutId): Promise<readonly Approval[]> {
  const rows = await db
    .select()
    .from(rolloutApprovals)
    .where(eq(rolloutApprovals.rolloutId, id))
    .orderBy(rolloutApprovals.approvedAt);
  return rows.map(({ planDigest, person, name, reason, approvedAt, lapsesAt }) => ({
    planDigest,
    person,
    name,
    reason,
    atMs: approvedAt.getTime(),
    untilMs: lapsesAt.getTime(),
  }));
}

/** Stores somebody's word; said again, it counts from now. */
export async function insertApproval(tx: Transaction, id: RolloutId, approval: Approval): Promise<void> {
  const { planDigest, person, name, reason } = approval;
  const [approvedAt, lapsesAt] = [new Date(approval.atMs), new Date(approval.untilMs)];
  await tx
    .insert(rolloutApprovals)
    .values({ rolloutId: id, planDigest, person, name, reason, approvedAt, lapsesAt })
    .onConflictDoUpdate({
      target: [rolloutApprovals.rolloutId, rolloutApprovals.planDigest, rolloutApprovals.person],
      set: { name, reason, approvedAt, lapsesAt },
    });
}

/** Gives a rollout that has not begun another plan, with all that comes of it. Its row has to be locked. */
export async function replacePlan(tx: Transaction, after: Rollout, plan: RolloutPlan): Promise<void> {
  // Those that are no longer planned have to hear of the end of their shadow, too.
  if (isShadowing(after)) await touchClusters(tx, after.id);
  await tx.delete(rolloutClusters).where(eq(rolloutClusters.rolloutId, after.id));
  await insertClusters(tx, after.id, plan);
  await tx
    .update(rollouts)
    .set({
      digest: after.digest,
      planDigest: after.planDigest,
      waves: after.waves,
      need: after.need ?? null,
      starters: after.starters ?? [],
    })
    .where(eq(rollouts.id, after.id));
  if (isShadowing(after)) await touchClusters(tx, after.id);
}

/** Locks the row of a rollout that is at a generation; false when it has moved on. */
export async function lockRollout(tx: Transaction, { id, generation }: Rollout): Promise<boolean> {
  const { rows } = await tx.execute(
    sql`select 1 from rollouts where id = ${id} and generation = ${generation} for update`,
  );
  return rows.length > 0;
}
