import type { RolloutCluster } from "./rollout-cluster.ts";
import type { Rollout } from "./rollout.ts";

/** What says something about the wave in work. */
export interface WaveInWork {
  /**
   * Its clusters that proved, and those of earlier waves that a resume tried again in it. Never those that came later: a newcomer
   * holds up no wave, and fails none but by the count of failures.
   */
  readonly proved: readonly RolloutCluster[];
  /** Its clusters and those of earlier waves that were given the bundle and still may prove it; without newcomers, too. */
  readonly assigned: readonly RolloutCluster[];
  /** When the last of `proved` did; 0 when there is none. */
  readonly provedMs: number;
  /**
   * It had everything that lets a wave pass, and only the hour, a window or a freeze, keeps the next from beginning. Nothing proved in it
   * since.
   */
  readonly isPassed: boolean;
  /** When it was seen that the next may begin after all; only of one that has passed. */
  readonly freedAtMs?: number;
}

/** The wave in work as gates, soaks and deadlines look at it. */
export function waveInWork({
  rollout,
  clusters,
}: {
  readonly rollout: Rollout;
  readonly clusters: readonly RolloutCluster[];
}): WaveInWork {
  const { startedAtMs = 0, passedAtMs, freedAtMs } = rollout.waves[rollout.wave] ?? {};
  const begun = clusters.filter((cluster) => cluster.wave <= rollout.wave && cluster.late !== true);
  const isOfIt = (c: RolloutCluster) => c.wave === rollout.wave || (c.provedAtMs ?? 0) >= startedAtMs;
  const proved = begun.filter((cluster) => cluster.state === "proved" && isOfIt(cluster));
  const provedMs = Math.max(0, ...proved.map(({ provedAtMs }) => provedAtMs ?? 0));
  const isPassed = passedAtMs !== undefined && provedMs <= passedAtMs;
  return {
    proved,
    assigned: begun.filter((cluster) => cluster.state === "assigned"),
    provedMs,
    isPassed,
    ...(isPassed && freedAtMs !== undefined ? { freedAtMs } : {}),
  };
}
