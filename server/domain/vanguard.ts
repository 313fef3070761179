import type { RolloutCluster } from "./rollout-cluster.ts";

/** Clusters that a server reads and tells of a change at once. */
export const clustersAtOnce = 200;

/**
 * Whom a wave begins with: all, or the first of many, whose agents are at work while the next step assigns the others. Fewer than may be
 * assigned are always within every bound of the rollout.
 */
export function vanguardOf(clusters: readonly RolloutCluster[]): readonly RolloutCluster[] {
  return clusters.length > 2 * clustersAtOnce ? clusters.slice(0, clustersAtOnce) : clusters;
}
