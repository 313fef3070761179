import { planCatchUp } from "../domain/rollout-catch-up.ts";
import type { Rollout } from "../domain/rollout.ts";
import type { Db } from "../store/pool.ts";
import { admitLate, listCatchUps } from "../store/rollout-admissions.ts";
import { readRolloutSnapshot } from "../store/rollout-clusters.ts";
import { commitRollout } from "../store/rollout-commits.ts";
import { lockRollouts } from "../store/rollouts.ts";

/**
 * Gives clusters what a rollout that succeeded owes them: those that were silent when it was their turn, and those that
 * joined in the moment in which it ended. Takes no input on purpose, as every reconciler. Answers whether it did anything.
 */
export async function reconcileCatchUps(db: Db, clock: () => Date): Promise<boolean> {
  let isMoved = false;
  for (const { rollout, isOpen } of await listCatchUps(db, clock())) {
    const isJoined = (await admitLate(db, rollout)) > 0;
    const isGiven = (isOpen || isJoined) && (await catchUp(db, rollout, clock()));
    isMoved ||= isJoined || isGiven;
  }
  return isMoved;
}

async function catchUp(db: Db, rollout: Rollout, now: Date): Promise<boolean> {
  return db.transaction(async (tx) => {
    // A rollout that starts at this moment plans on what its clusters had before or after, not in between.
    await lockRollouts(tx, rollout.spec.kind);
    const snapshot = await readRolloutSnapshot(tx, rollout, now);
    const changes = planCatchUp(snapshot);
    if (changes.length === 0) return false;
    // Losing the race needs no retry: the next turn looks again.
    const begins = changes.some(({ assign }) => assign === rollout.digest);
    const commit = { before: rollout, after: rollout, changes, seen: snapshot.clusters, begins };
    return (await commitRollout(tx, commit, now)).ok;
  });
}
