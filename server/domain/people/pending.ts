import type { Outcome } from "../refusal.ts";
import { stepRollout, type Rollout, type RolloutEvent } from "../rollout.ts";
import { isShadowing } from "../rollout-shadow.ts";
import { standing, type Approval } from "./approval.ts";
import { shownTime } from "./zone.ts";

/** What a rollout that has not begun does next. */
export type PendingStep =
  | { readonly kind: "stay" }
  | { readonly kind: "wait"; readonly event: RolloutEvent; readonly because: string }
  /** Nothing keeps it but the plan, which has to be the same when it is made anew. */
  | { readonly kind: "begin" };

/** Whether a rollout waits for people or for its time, so that it holds no cluster and gave nothing to any. */
export function isWaitingToBegin({ state }: Pick<Rollout, "state">): boolean {
  return state === "awaiting-approval" || state === "scheduled";
}

/** People first, then time: whoever approves early does not keep anybody up at night. */
export function planPending(rollout: Rollout, approvals: readonly Approval[], nowMs: number): PendingStep {
  const { state, need, planDigest, spec } = rollout;
  if (!isWaitingToBegin(rollout)) return { kind: "stay" };
  const given = standing(approvals, planDigest, nowMs);
  if (need !== undefined && given.length < need.count) {
    if (state === "awaiting-approval") return { kind: "stay" };
    const because = `an approval lapsed; ${needText(need.why)}`;
    return { kind: "wait", event: "wait-for-approval", because };
  }
  const startAtMs = spec.people?.startAtMs ?? nowMs;
  if (nowMs >= startAtMs) return { kind: "begin" };
  if (state === "scheduled") return { kind: "stay" };
  const names = given.map(({ name }) => name).join(", ");
  return {
    kind: "wait",
    event: "wait-for-time",
    because: `approved by ${names}; ${scheduleText(startAtMs)}`,
  };
}

export function needText(why: string): string {
  return `takes the approval of somebody else, because ${why}`;
}

export function scheduleText(startAtMs: number): string {
  return `begins ${shownTime("UTC", startAtMs)} if a new plan is the same by then`;
}

/** A rollout as it is when its first wave may begin. */
export function beginRollout(rollout: Rollout, because: string, nowMs: number): Outcome<Rollout> {
  const stepped = stepRollout(rollout, "begin", because, nowMs);
  if (!stepped.ok) return stepped;
  const { pending: _over, ...begun } = stepped.value;
  // A shadow runs while people make up their minds; whether it is over, and what then, is for the next step.
  if (isShadowing(begun)) return { ok: true, value: begun };
  const waves = begun.waves.map((wave, i) => (i === 0 ? { ...wave, startedAtMs: nowMs } : wave));
  return { ok: true, value: { ...begun, waves } };
}
