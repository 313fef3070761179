import type { ClusterChange, RolloutCluster } from "./rollout-cluster.ts";
import type { RolloutSnapshot } from "./rollout-step.ts";
import type { Rollout } from "./rollout.ts";

/**
 * The snapshot once a step is written down that left the rollout itself where it was. To read thousands of clusters again would find those
 * that proved in between, and so on for as long as a wave proves, with no decision about the wave itself; the next activation sees them.
 * What is decided on it is guarded as ever: clusters that are no longer so make it stale.
 */
export function noteChanges(
  seen: RolloutSnapshot,
  rollout: Rollout,
  changes: readonly ClusterChange[],
): RolloutSnapshot {
  const byId = new Map(changes.map((change) => [change.id, change]));
  const clusters = seen.clusters.map((cluster) => {
    const change = byId.get(cluster.id);
    return change === undefined ? cluster : changed(cluster, change, rollout, seen.nowMs);
  });
  return { ...seen, rollout, clusters };
}

/** As `commitRollout` writes it: whoever is assigned something is so under the generation after the one that was seen. */
function changed(
  cluster: RolloutCluster,
  { to, reason, assign }: ClusterChange,
  { id: rolloutId }: Rollout,
  nowMs: number,
): RolloutCluster {
  const { provedAtMs, ...before } = cluster;
  if (assign !== undefined) {
    const generation = cluster.assignment.generation + 1n;
    const assignment = { generation, rolloutId, ...(assign === null ? {} : { digest: assign }) };
    return { ...before, state: to, reason, generation, assignedAtMs: nowMs, assignment };
  }
  const isProof = to === "proved" || to === "reverted";
  const proved = isProof ? (provedAtMs ?? nowMs) : provedAtMs;
  return { ...before, state: to, reason, ...(proved === undefined ? {} : { provedAtMs: proved }) };
}
