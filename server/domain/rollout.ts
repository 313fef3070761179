import type { Digest, RolloutId } from "./ids.ts";
import type { ApprovalNeed, Person } from "./people/approval.ts";
import { accept, refuse, type Outcome } from "./refusal.ts";
import type { RolloutSpec } from "./rollout-spec.ts";
import type { Scope } from "./scope.ts";

export type RolloutState =
  | "running"
  | "paused"
  | "rolling-back"
  | "rolled-back"
  | "succeeded"
  | "aborted"
  | "awaiting-approval"
  | "scheduled";

/** What moves a rollout: a person's word, or what the planner concluded from proofs. */
export type RolloutEvent =
  | "pause"
  | "resume"
  | "abort"
  | "undo"
  | "shadow-done"
  | "shadow-done-and-pause"
  | "wave-passed"
  | "wave-freed"
  | "wave-done"
  | "last-wave-done"
  | "fail-and-pause"
  | "fail-and-roll-back"
  | "all-reverted"
  | "wait-for-approval"
  | "wait-for-time"
  | "plan-changed"
  | "begin"
  | "reject";

/** Clusters that are taken together. The clusters themselves carry the number of their wave. */
export interface Wave {
  /** For people: "canary eu", "eu 2 of 3". */
  readonly name: string;
  /** See `NamedWave`; absent in rollouts of older servers. */
  readonly group?: string;
  readonly startedAtMs?: number;
  readonly finishedAtMs?: number;
  /** When somebody last resumed the rollout in this wave: its gates look at nothing that was before. */
  readonly resumedAtMs?: number;
  /** When it had passed while the next could not begin for a window or a freeze: from then on only what cannot be chance stops it. */
  readonly passedAtMs?: number;
  /** When it was seen that nothing keeps the next from beginning any more, while something of this one has to be waited for. */
  readonly freedAtMs?: number;
}

/** A rollout as it is stored, without its clusters. */
export interface Rollout {
  readonly id: RolloutId;
  readonly spec: RolloutSpec;
  readonly digest: Digest;
  readonly state: RolloutState;
  /** Why it is in this state or what it waits for, in words. */
  readonly because: string;
  /** The wave in work, from 0; equals the count of waves when all are done. */
  readonly wave: number;
  readonly generation: bigint;
  readonly planDigest: string;
  readonly waves: readonly Wave[];
  readonly createdBy: string;
  /** That of whoever started it. */
  readonly scope: Scope;
  readonly createdAtMs: number;
  readonly finishedAtMs?: number;
  /** Its first wave has not begun, whatever it waits for: it holds no cluster. */
  readonly pending?: boolean;
  /** Whose word it takes before it begins. */
  readonly need?: ApprovalNeed;
  /** Who started it, and who took a new plan for it: none of them approves it. */
  readonly starters?: readonly Person[];
  /** Where it stands in the trace of the call that started it; absent when nobody records one. */
  readonly traceparent?: string;
}

type Steps = { readonly [E in RolloutEvent]?: RolloutState };

/**
 * Every legal step. What is not listed is refused, so a late report cannot revive a finished rollout: a finished state
 * is left only by a person's undo, and a rolled-back rollout never again.
 */
const steps: { readonly [S in RolloutState]: Steps } = {
  running: {
    pause: "paused",
    abort: "aborted",
    undo: "rolling-back",
    "shadow-done": "running",
    "shadow-done-and-pause": "paused",
    "wave-passed": "running",
    "wave-freed": "running",
    "wave-done": "running",
    "last-wave-done": "succeeded",
    "fail-and-pause": "paused",
    "fail-and-roll-back": "rolling-back",
  },
  paused: {
    resume: "running",
    abort: "aborted",
    undo: "rolling-back",
    // Only of one that has not begun, when somebody takes its new plan.
    "wait-for-approval": "awaiting-approval",
    "wait-for-time": "scheduled",
  },
  "rolling-back": { "all-reverted": "rolled-back" },
  succeeded: { undo: "rolling-back" },
  aborted: { undo: "rolling-back" },
  "rolled-back": {},
  "awaiting-approval": {
    "wait-for-time": "scheduled",
    "plan-changed": "paused",
    begin: "running",
    reject: "aborted",
    abort: "aborted",
  },
  scheduled: {
    "wait-for-approval": "awaiting-approval",
    "plan-changed": "paused",
    begin: "running",
    reject: "aborted",
    abort: "aborted",
  },
};

export const rolloutStates: readonly RolloutState[] = Object.keys(steps) as RolloutState[];

export const rolloutEvents: readonly RolloutEvent[] = [
  "pause",
  "resume",
  "abort",
  "undo",
  "shadow-done",
  "shadow-done-and-pause",
  "wave-passed",
  "wave-freed",
  "wave-done",
  "last-wave-done",
  "fail-and-pause",
  "fail-and-roll-back",
  "all-reverted",
  "wait-for-approval",
  "wait-for-time",
  "plan-changed",
  "begin",
  "reject",
];

/** Whether nothing will ever happen by itself any more. */
export function isFinished(state: RolloutState): boolean {
  return state === "succeeded" || state === "aborted" || state === "rolled-back";
}

/** One step of the state machine: the rollout after the event, with `because` as the reason that people read. */
export function stepRollout(
  rollout: Rollout,
  event: RolloutEvent,
  because: string,
  nowMs: number,
): Outcome<Rollout> {
  const state = steps[rollout.state][event];
  if (state === undefined) {
    return refuse({ kind: "illegal-step", what: "rollout", from: rollout.state, event });
  }
  const moved = event === "wave-done" || event === "last-wave-done";
  const { finishedAtMs: _before, ...rest } = rollout;
  return accept({
    ...rest,
    state,
    because,
    wave: moved ? Math.min(rollout.wave + 1, rollout.waves.length) : rollout.wave,
    waves: stampWaves(rollout, event, nowMs),
    generation: rollout.generation + 1n,
    ...(isFinished(state) ? { finishedAtMs: nowMs } : {}),
  });
}

function stampWaves({ waves, wave }: Rollout, event: RolloutEvent, nowMs: number): readonly Wave[] {
  if (event === "resume") {
    return waves.map((each, i) => (i === wave ? resumeWave(each, nowMs) : each));
  }
  if (event === "wave-passed") {
    return waves.map((each, i) => (i === wave ? passWave(each, nowMs) : each));
  }
  if (event === "wave-freed") {
    return waves.map((each, i) => (i === wave ? { ...each, freedAtMs: nowMs } : each));
  }
  // The first wave of a rollout that begins with a shadow begins when that is over.
  if (event === "shadow-done" || event === "shadow-done-and-pause") {
    return waves.map((each, i) => stampWave(each, i - wave + 1, nowMs));
  }
  if (event !== "wave-done" && event !== "last-wave-done") return waves;
  return waves.map((each, i) => stampWave(each, i - wave, nowMs));
}

/** Judged anew, so it has not passed. */
function resumeWave({ passedAtMs: _before, freedAtMs: _over, ...wave }: Wave, nowMs: number): Wave {
  return { ...wave, resumedAtMs: nowMs };
}

/** Held again, what is seen while nothing may begin is held against it no more than the first time. */
function passWave({ freedAtMs: _over, ...wave }: Wave, nowMs: number): Wave {
  return { ...wave, passedAtMs: nowMs };
}

function stampWave(wave: Wave, fromCurrent: number, nowMs: number): Wave {
  if (fromCurrent === 0) return { ...wave, finishedAtMs: nowMs };
  return fromCurrent === 1 ? { ...wave, startedAtMs: nowMs } : wave;
}

/** Refuses as stale when the rollout is not at the generation that the caller saw. */
export function atGeneration(rollout: Rollout, seen: bigint): Outcome<Rollout> {
  return rollout.generation === seen ? accept(rollout) : refuse({ kind: "stale", what: "rollout", seen });
}
