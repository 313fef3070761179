import type { ReportedAttempt } from "../store/reports.ts";

/** What reports say about rollouts. While a wave is out thousands come, and hardly one changes what is done. */
export interface RolloutNews {
  /** A look begins: what is reported from now on may be missing in it. */
  looking(): void;
  /** It saw so many clusters of a rollout that were assigned its bundle, can be heard of, and have not come to an end with it. */
  waitsFor(clusters: number): void;
  /** It is over. True when as many have proved meanwhile as some rollout waits for. */
  looked(): boolean;
  /**
   * True of what went back or was refused, which may stop a rollout, and of what may be the last proof of a wave, counting those that this
   * server hears: once for each look, however often agents say the same. False of what is only to be shown.
   */
  isPressing(attempts: readonly Pick<ReportedAttempt, "phase">[]): boolean;
}

export function createRolloutNews(): RolloutNews {
  let isLooking = true;
  let isPressed = false;
  let applied = 0;
  /** The fewest that a rollout waits for; undefined when none does. */
  let out: number | undefined;

  function isReached(): boolean {
    if (isLooking || isPressed || applied < (out ?? 0)) return false;
    isPressed = true;
    return true;
  }
  return {
    looking: () => {
      [isLooking, isPressed, applied, out] = [true, false, 0, undefined];
    },
    waitsFor: (clusters) => {
      if (clusters > 0) out = Math.min(out ?? clusters, clusters);
    },
    looked: () => {
      isLooking = false;
      return out !== undefined && isReached();
    },
    isPressing: (attempts) => {
      if (attempts.some(({ phase }) => phase === "rejected" || phase === "rolled-back")) return true;
      if (!attempts.some(({ phase }) => phase === "applied")) return false;
      applied += 1;
      return isReached();
    },
  };
}
