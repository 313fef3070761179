import { isWaitingToBegin } from "../domain/people/pending.ts";
import { planStep, type RolloutStep } from "../domain/rollout-step.ts";
import { stepRollout, type Rollout } from "../domain/rollout.ts";
import type { Db } from "../store/pool.ts";
import { admitLate } from "../store/rollout-admissions.ts";
import { readRolloutSnapshot } from "../store/rollout-clusters.ts";
import { commitRollout } from "../store/rollout-commits.ts";
import { listUnfinishedRollouts } from "../store/rollouts.ts";
import { withGates } from "./gates.ts";
import { stepPending, type PendingTools } from "./pending.ts";

/** Without a policy of its own, nobody is asked. */
const nobody: PendingTools = { approvals: { labels: [], lifeMs: 0 }, note: async () => {} };

/** Steps of one rollout in one activation; more come with the next, so that one rollout does not starve the others. */
const stepsMax = 20;

/**
 * Moves every unfinished rollout as far as it goes now. Takes no input on purpose: it acts only on what the store says,
 * so a missed nudge, a restart in the middle and a second server all take the same path. Answers whether it moved any.
 */
export async function reconcileRollouts(
  db: Db,
  clock: () => Date,
  tools: PendingTools = nobody,
): Promise<boolean> {
  const failures: unknown[] = [];
  let isMoved = false;
  for (const rollout of await listUnfinishedRollouts(db)) {
    try {
      if (rollout.state !== "rolling-back" && rollout.pending !== true) {
        isMoved = (await admitLate(db, rollout)) > 0 || isMoved;
      }
      let at: Rollout | undefined = rollout;
      for (let i = 0; i < stepsMax && at !== undefined; i += 1) {
        at = isWaitingToBegin(at)
          ? await stepPending(db, at, tools, clock())
          : await takeStep(db, at, clock());
        isMoved ||= at !== undefined;
      }
    } catch (error) {
      failures.push(new Error(`Rollout ${rollout.id} could not take its next step`, { cause: error }));
    }
  }
  // One rollout that cannot go on does not hold up the others; the driver logs it and comes back.
  if (failures.length === 1) throw failures[0];
  if (failures.length > 1) throw new AggregateError(failures, `${failures.length} rollouts could not go on`);
  return isMoved;
}

/** Takes the next step. Undefined when there is none now, or when another server or a person was faster. */
async function takeStep(db: Db, before: Rollout, now: Date): Promise<Rollout | undefined> {
  const snapshot = await withGates(db, await readRolloutSnapshot(db, before, now));
  const step = planStep(snapshot);
  if (step.changes.length === 0 && step.event === undefined && step.because === before.because) {
    return undefined;
  }
  const stepped =
    step.event === undefined
      ? ({ ok: true, value: { ...before, because: step.because } } as const)
      : stepRollout(before, step.event, step.because, now.getTime());
  if (!stepped.ok) {
    throw new Error(`The planner asked rollout ${before.id} for an illegal step: ${step.event}`);
  }
  // Losing the race needs no retry: the winner's write brings this rollout round again.
  const committed = await commitRollout(
    db,
    {
      before,
      after: stepped.value,
      changes: step.changes,
      seen: snapshot.clusters,
      begins: step.begins === true,
      ...(isTold(step) ? { act: { who: "", what: step.event ?? "", why: step.because } } : {}),
    },
    now,
  );
  return committed.ok ? committed.value : undefined;
}

/** Waves that go on are seen in the waves; what ends or stops a rollout is something that was done with it. */
function isTold({ event }: RolloutStep): boolean {
  return event !== undefined && event !== "wave-done";
}
