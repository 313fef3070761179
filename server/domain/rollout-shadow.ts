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

/** What came of a shadow. */
export interface ShadowEvidence {
  /** Agents that were asked. */
  readonly agents: number;
  /** Those that evaluated events with the bundle, and those that refused or gave it up. */
  readonly evaluated: number;
  readonly refused: number;
}

/**
 * What a rollout does while it has a shadow, instead of its first wave; undefined once that may begin. It begins by itself only on what
 * the shadow showed: that nobody evaluated the bundle is no sign of its health.
 */
export function planShadow(
  rollout: Rollout,
  nowMs: number,
  evidence: ShadowEvidence | undefined,
): RolloutStep | undefined {
  if (!isShadowing(rollout)) return undefined;
  const untilMs = shadowUntilMs(rollout) ?? 0;
  if (nowMs < untilMs) {
    return {
      changes: [],
      because: `for ${rollout.spec.shadowSeconds} s the clusters evaluate the bundle beside what they run; nothing is emitted`,
    };
  }
  const first = rollout.waves[0]?.name ?? "";
  const { agents = 0, evaluated = 0, refused = 0 } = evidence ?? {};
  if (rollout.spec.shadowThenGo === true && evaluated === 0) {
    const why = refused === 0 ? "" : `, and ${refused} refused it or gave it up`;
    const because = `the shadow is over and showed nothing: of ${agents} agents none evaluated an event with the bundle${why}; look why, and resume to begin with "${first}" all the same`;
    return { changes: [], event: "shadow-done-and-pause", because };
  }
  return rollout.spec.shadowThenGo === true
    ? { changes: [], event: "shadow-done", because: `the shadow is over; "${first}" begins` }
    : {
        changes: [],
        event: "shadow-done-and-pause",
        because: `the shadow is over: look at what it showed, and resume to begin with "${first}"`,
      };
}
