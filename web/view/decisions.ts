import { RolloutState, type Rollout } from "#proto/fleet/v1/rollout";

export type Decision = "approve" | "reject" | "pause-overtaken" | "pause" | "resume" | "abort" | "undo";

interface Offered {
  readonly decision: Decision;
  readonly verb: string;
  readonly isDangerous: boolean;
  /** What follows from it, for who is asked whether it is meant. */
  readonly consequence: string;
  /** Who may: who starts rollouts, or who approves those of others. */
  readonly takes: "operate" | "approve";
  readonly reasonLabel?: string;
}

const pause: Offered = {
  decision: "pause",
  verb: "Pause",
  isDangerous: false,
  consequence: "No new wave begins. Clusters that already took the bundle keep it.",
  takes: "operate",
};
const resume: Offered = {
  decision: "resume",
  verb: "Resume",
  isDangerous: false,
  consequence: "It goes on. Failures so far are forgiven: the failed clusters are tried again.",
  takes: "operate",
};
/** Of one that did not begin because its plan was overtaken. */
const takePlan: Offered = {
  decision: "resume",
  verb: "Take the new plan",
  isDangerous: false,
  consequence:
    "The rollout takes the plan that is shown here. Approvals of the old one count no more: it waits for people and its time as a new one would.",
  takes: "operate",
};
const abort: Offered = {
  decision: "abort",
  verb: "Abort",
  isDangerous: true,
  consequence:
    "It ends for good. Clusters that proved the bundle keep it; those that were assigned it and have not proved it go back.",
  takes: "operate",
};
const undo: Offered = {
  decision: "undo",
  verb: "Undo",
  isDangerous: true,
  consequence: "Every cluster that it assigned goes back to what it ran before, all at once.",
  takes: "operate",
};
const approve: Offered = {
  decision: "approve",
  verb: "Approve",
  isDangerous: false,
  consequence:
    "Your word counts for exactly the plan that is shown on this page, and no other. It begins when there are enough, and its time has come.",
  takes: "approve",
  reasonLabel: "Reason (may stay empty)",
};
const reject: Offered = {
  decision: "reject",
  verb: "Reject",
  isDangerous: true,
  consequence: "It ends before it has begun.",
  takes: "approve",
  reasonLabel: "Reason",
};

/** Of one whose plan has changed while it waits: nothing but this leads to the new plan. */
const pauseOvertaken: Offered = {
  decision: "pause-overtaken",
  verb: "Pause it: its plan has changed",
  isDangerous: false,
  consequence:
    "Nothing is approved: the server makes the plan anew, sees that it is another one, and pauses the rollout. Whoever operates the fleet can take the new plan then, which waits for people as this one did.",
  takes: "approve",
};

const byState: Partial<Readonly<Record<RolloutState, readonly Offered[]>>> = {
  [RolloutState.AWAITING_APPROVAL]: [approve, reject, abort],
  [RolloutState.SCHEDULED]: [reject, abort],
  [RolloutState.RUNNING]: [pause, abort, undo],
  [RolloutState.PAUSED]: [resume, abort, undo],
  [RolloutState.SUCCEEDED]: [undo],
  [RolloutState.ABORTED]: [undo],
};

/**
 * What is worth offering, to somebody who sees the plan of the digest `shown`. Nobody says yes to a plan that is not on the screen, or is no
 * longer the rollout's: in place of that, who sees another plan may have the rollout paused. Whether it is done the server says.
 */
export function decisionsFor(
  { state, pending, planDigest }: Pick<Rollout, "state" | "pending" | "planDigest">,
  shown: string | undefined,
): readonly Offered[] {
  if (pending && state === RolloutState.PAUSED) return shown === undefined ? [abort] : [takePlan, abort];
  const offered = byState[state] ?? [];
  if (shown === planDigest) return offered;
  return offered.flatMap((each) => {
    if (each !== approve) return [each];
    return shown === undefined ? [] : [pauseOvertaken];
  });
}
