import { isWaitingToBegin } from "../domain/people/pending.ts";
import { noteChanges } from "../domain/rollout-noted.ts";
import { isShadowing, shadowUntilMs } from "../domain/rollout-shadow.ts";
import { planStep, type RolloutSnapshot, type RolloutStep } from "../domain/rollout-step.ts";
import { stepRollout, type Rollout } from "../domain/rollout.ts";
import type { Db } from "../store/pool.ts";
import { admitLate } from "../store/rollout-admissions.ts";
import { readRolloutSnapshot } from "../store/rollout-clusters.ts";
import { readWithdrawn } from "../store/rollout-bundles.ts";
import { commitRollout } from "../store/rollout-commits.ts";
import { listUnfinishedRollouts } from "../store/rollouts.ts";
import { readShadowEvidence } from "../store/shadows.ts";
import { withGates } from "./gates.ts";
import { stepPending, type PendingTools } from "./pending.ts";

/** Steps of one rollout in one activation; more come with the next, so that one rollout does not starve the others. */
const stepsMax = 20;

/**
 * Moves every unfinished rollout as far as it goes now. Takes no input on purpose: it acts only on what the store says,
 * so a missed nudge, a restart in the middle and a second server all take the same path. Answers whether it moved any.
 */
export async function reconcileRollouts(db: Db, clock: () => Date, tools: PendingTools): Promise<boolean> {
  const failures: unknown[] = [];
  let isMoved = false;
  const unfinished = await listUnfinishedRollouts(db);
  tools.onUnfinished?.(unfinished.map(({ state }) => state));
  for (const rollout of unfinished) {
    try {
      if (rollout.state !== "rolling-back" && rollout.pending !== true) {
        isMoved = (await admitLate(db, rollout)) > 0 || isMoved;
      }
      let at: Taken | undefined = { rollout };
      for (let i = 0; i < stepsMax && at !== undefined; i += 1) {
        at = isWaitingToBegin(at.rollout)
          ? await beginPending(db, at.rollout, tools, clock)
          : await takeStep(db, at, tools, clock);
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

/** A rollout after a step. */
interface Taken {
  readonly rollout: Rollout;
  /** What the next step is decided on, when this one changed no more than clusters, unless the wave itself is to change. */
  readonly seen?: RolloutSnapshot;
}

/** Begins what waited for people or for its time, or says why it may not. Undefined when it goes on waiting. */
async function beginPending(
  db: Db,
  before: Rollout,
  tools: PendingTools,
  clock: () => Date,
): Promise<Taken | undefined> {
  const now = clock();
  const after = await stepPending(db, before, tools, now);
  if (after !== undefined) {
    const times = { fromMs: now.getTime(), nowMs: clock().getTime() };
    tools.onCommitted?.({ before, after, changes: [], seen: [], because: after.because, ...times });
  }
  return after && { rollout: after };
}

/** Takes the next step. Undefined when there is none now, or when another server or a person was faster. */
async function takeStep(
  db: Db,
  { rollout: before, seen }: Taken,
  tools: PendingTools,
  clock: () => Date,
): Promise<Taken | undefined> {
  const { loader, onProved, onCommitted, onWaiting } = tools;
  const looked = seen ?? (await look(db, before, clock()));
  const now = new Date(looked.nowMs);
  const snapshot = await withGates(db, loader, looked);
  const step = planStep(snapshot);
  if (step.changes.length === 0 && step.event === undefined && step.because === before.because) {
    onWaiting?.(countOut(snapshot));
    return undefined;
  }
  // What becomes of the wave is decided on a look of its own: its time has to be later than that of the proofs that it rests on.
  if (seen !== undefined && step.event !== undefined) return takeStep(db, { rollout: before }, tools, clock);
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
  if (!committed.ok) return undefined;
  const proved = new Set(step.changes.filter(({ to }) => to === "proved").map(({ id }) => id));
  for (const { id, assignedAtMs } of snapshot.clusters) {
    if (assignedAtMs === undefined || !proved.has(id)) continue;
    onProved?.(before.spec.kind, (now.getTime() - assignedAtMs) / 1000);
  }
  onCommitted?.({
    before,
    after: committed.value,
    changes: step.changes,
    seen: snapshot.clusters,
    because: step.because,
    gates: snapshot.gates?.verdicts,
    fromMs: now.getTime(),
    nowMs: clock().getTime(),
  });
  return {
    rollout: committed.value,
    ...(step.event === undefined ? { seen: noteChanges(looked, committed.value, step.changes) } : {}),
  };
}

/** Of whom proofs may come. */
function countOut({ rollout, clusters }: RolloutSnapshot): number {
  if (rollout.state === "paused") return 0;
  return clusters.filter(
    ({ state, agents }) => state === "assigned" && agents.length > 0 && !agents.some(({ silent }) => silent),
  ).length;
}

async function look(db: Db, rollout: Rollout, now: Date): Promise<RolloutSnapshot> {
  const seen = await readRolloutSnapshot(db, rollout, now);
  return { ...seen, ...(await readWithdrawn(db, rollout)), ...(await readShadow(db, rollout, now)) };
}

/** What the shadow of a rollout showed, when it is over and the first wave is to begin by it. */
async function readShadow(db: Db, rollout: Rollout, now: Date): Promise<Pick<RolloutSnapshot, "shadow">> {
  const isAsked = rollout.spec.shadowThenGo === true && isShadowing(rollout);
  if (!isAsked || now.getTime() < (shadowUntilMs(rollout) ?? 0)) return {};
  return { shadow: await readShadowEvidence(db, rollout.id) };
}

/** What is seen in the waves; what ends or stops a rollout is something that was done with it. */
const untold: readonly RolloutStep["event"][] = [undefined, "wave-done", "wave-passed", "wave-freed"];

function isTold({ event }: RolloutStep): boolean {
  return !untold.includes(event);
}
