import { beginRollout, isWaitingToBegin, needText, planPending } from "../domain/people/pending.ts";
import { standing } from "../domain/people/approval.ts";
import { sentence } from "../domain/refusal.ts";
import type { OnCommitted } from "../domain/rollout-spans.ts";
import { stepRollout, type Rollout, type RolloutEvent, type RolloutState } from "../domain/rollout.ts";
import { guardCoverage } from "../rpc/rollout-service/compare.ts";
import { findEngineProblems, tooOld } from "../rpc/rollout-service/engines.ts";
import { foresee } from "../rpc/rollout-service/foresee.ts";
import { changedText, needOf, planAnew } from "../rpc/rollout-service/held-plan.ts";
import type { Planning } from "../rpc/rollout-service/prepare.ts";
import type { AuditNote } from "../store/audit-entries.ts";
import type { Db, Transaction } from "../store/pool.ts";
import { readRolloutSnapshot } from "../store/rollout-clusters.ts";
import { commitRollout } from "../store/rollout-commits.ts";
import { listApprovals, lockRollout } from "../store/rollout-people.ts";
import { lockRollouts } from "../store/rollouts.ts";

/** What the loop needs to begin what waited for people or for its time. */
export interface PendingTools extends Planning {
  /** Writes down what the server decided. */
  readonly note: AuditNote;
  /** Told how long after its assignment a cluster was seen to have proved it; once for each, by whoever wrote it down. */
  readonly onProved?: (kind: string, seconds: number) => void;
  /** Told with each look which rollouts have not ended, by their states. */
  readonly onUnfinished?: (states: readonly RolloutState[]) => void;
  /** Told of each rollout that takes no step now, of how many clusters proofs may come. */
  readonly onWaiting?: (clusters: number) => void;
  /** Told of each step that this server wrote down. */
  readonly onCommitted?: OnCommitted | undefined;
}

/**
 * Takes a rollout that has not begun one step on, or answers undefined when it goes on waiting. It begins only with the
 * plan that was started and approved: made anew under the lock that all starts take, it has to be the same.
 */
export async function stepPending(
  db: Db,
  before: Rollout,
  tools: PendingTools,
  now: Date,
): Promise<Rollout | undefined> {
  if (!isWaitingToBegin(before)) return undefined;
  const step = planPending(before, await listApprovals(db, before.id), now.getTime());
  if (step.kind === "stay") return undefined;
  const foreseen =
    step.kind === "wait" ? undefined : await foresee(db, before.scope, before.spec, tools.loader, now);
  const refusal = foreseen?.ok === false ? foreseen.refusal : undefined;
  // Others are loading: that says nothing about the plan.
  if (refusal?.kind === "unavailable") return undefined;
  return db.transaction(async (tx) => {
    await lockRollouts(tx, before.spec.kind);
    // Whoever lost against another server or a person comes round again.
    if (!(await lockRollout(tx, before))) return undefined;
    if (step.kind === "wait") return move(tx, before, step.event, step.because, tools, now);
    // To compare it takes too much, and will with the next look, too: a person has to hear of it.
    if (refusal !== undefined) return move(tx, before, "plan-changed", sentence(refusal), tools, now);
    return begin(tx, before, tools, now);
  });
}

async function begin(
  tx: Transaction,
  before: Rollout,
  tools: PendingTools,
  now: Date,
): Promise<Rollout | undefined> {
  const plan = await planAnew(tx, before, now);
  if (plan.kind === "changed") return move(tx, before, "plan-changed", changedText(plan.why), tools, now);
  // Neither labels nor the engines of agents are in the digest, and both may have changed.
  const coverage = await guardCoverage(tx, tools.loader, before.spec, plan.prepared);
  // Others are loading: that says nothing about the plan.
  if (!coverage.ok && coverage.refusal.kind === "unavailable") return undefined;
  if (!coverage.ok) return move(tx, before, "plan-changed", sentence(coverage.refusal), tools, now);
  const engines = await findEngineProblems(tx, plan.prepared);
  if (engines.length > 0) {
    return move(tx, before, "plan-changed", sentence(tooOld(engines).refusal), tools, now);
  }
  // Labels may say by now that it takes somebody else, although the plan is the same.
  const need = needOf(tools.approvals, before.spec, plan.prepared) ?? before.need;
  const given = standing(await listApprovals(tx, before.id), before.planDigest, now.getTime());
  if (need !== undefined && given.length < need.count) {
    const asking = { ...before, need };
    if (before.state === "awaiting-approval") return undefined;
    return move(tx, asking, "wait-for-approval", needText(need.why), tools, now);
  }
  const names = given.map(({ name }) => name).join(", ");
  const because = names === "" ? "begins, as scheduled" : `begins, approved by ${names}`;
  const begun = beginRollout(before, because, now.getTime());
  if (!begun.ok) throw new Error(`Rollout ${before.id} is ${before.state} and cannot begin`);
  return commit(tx, before, begun.value, "begin", tools, now);
}

async function move(
  tx: Transaction,
  before: Rollout,
  event: RolloutEvent,
  because: string,
  tools: PendingTools,
  now: Date,
): Promise<Rollout | undefined> {
  const after = stepRollout(before, event, because, now.getTime());
  if (!after.ok) throw new Error(`Rollout ${before.id} is ${before.state} and cannot take the step ${event}`);
  return commit(tx, before, after.value, event, tools, now);
}

async function commit(
  tx: Transaction,
  before: Rollout,
  after: Rollout,
  what: string,
  { note }: PendingTools,
  now: Date,
): Promise<Rollout | undefined> {
  const { clusters: seen } = await readRolloutSnapshot(tx, before, now);
  const act = { who: "", what, why: after.because };
  const done = await commitRollout(tx, { before, after, changes: [], seen, act }, now);
  if (!done.ok) return undefined;
  await note(tx, { target: before.id, request: { step: what, plan: before.planDigest }, why: after.because });
  return done.value;
}
