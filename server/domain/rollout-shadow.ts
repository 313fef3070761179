import type { Rollout } from "./rollout.ts";
import type { RolloutStep } from "./rollout-step.ts";

/** Whether a rollout begins with a shadow that is not over: its first wave has not begun. */
export function isShadowing({ spec, waves }: Pick<Rollout, "spec" | "waves">): boolean {
  return (spec.shadowSeconds ?? 0) > 0 && waves[0] !== undefined && waves[0].startedAtMs === undefined;
}

/** When the shadow of a rollout is over; undefined when it has none. */
export function shadowUntilMs({
  spec,
  createdAtMs,
}: Pick<Rollout, "spec" | "createdAtMs">): number | undefined {
  const seconds = spec.shadowSeconds ?? 0;
  return seconds === 0 ? undefined : createdAtMs + seconds * 1000;
}

/** What a rollout does while it has a shadow, instead of its first wave; undefined once that may begin. */
export function planShadow(rollout: Rollout, nowMs: number): RolloutStep | undefined {
  if (!isShadowing(rollout)) return undefined;
  const untilMs = shadowUntilMs(rollout) ?? 0;
  if (nowMs < untilMs) {
    return {
      changes: [],
      because: `for ${rollout.spec.shadowSeconds} s the clusters evaluate the bundle beside what they run; nothing is emitted`,
    };
  }
  const first = rollout.waves[0]?.name ?? "";
  return rollout.spec.shadowThenGo === true
    ? { changes: [], event: "shadow-done", because: `the shadow is over; "${first}" begins` }
    : {
        changes: [],
        event: "shadow-done-and-pause",
        because: `the shadow is over: look at what it showed, and resume to begin with "${first}"`,
      };
}
