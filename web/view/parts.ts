import { RolloutClusterState, type Rollout } from "#proto/fleet/v1/rollout";
import type { HealthCounts } from "./fleet.ts";
import { rolloutClusterWord, type Tone } from "./words.ts";

export interface Part {
  readonly tone: Tone;
  readonly count: number;
  readonly text: string;
}

/** The worst first, as everywhere. */
export function healthParts({ healthy, updating, degraded, silent }: HealthCounts): readonly Part[] {
  return [
    { tone: "bad", count: silent, text: "silent" },
    { tone: "warn", count: degraded, text: "degraded" },
    { tone: "busy", count: updating, text: "updating" },
    { tone: "ok", count: healthy, text: "healthy" },
  ];
}

/** In the order in which a cluster goes through them. */
const shownStates = [
  RolloutClusterState.PROVED,
  RolloutClusterState.ASSIGNED,
  RolloutClusterState.FAILED,
  RolloutClusterState.REVERTED,
  RolloutClusterState.WAITING,
] as const;

/** Where the clusters of some waves stand. Those that left are out of the count. */
export function progressParts(waves: Rollout["waves"]): readonly Part[] {
  const all = waves.flatMap(({ clusters }) => clusters);
  return shownStates.map((state) => {
    const { tone, text } = rolloutClusterWord(state);
    return { tone, text, count: all.filter((cluster) => cluster.state === state).length };
  });
}
