import { heldBy } from "./people/hold.ts";
import { judgeAssigned, leaves, type ClusterChange, type RolloutCluster } from "./rollout-cluster.ts";
import type { RolloutSnapshot } from "./rollout-step.ts";
import { failuresAllowed } from "./rollout-strategy.ts";
import { isSilent, roomFor } from "./rollout-turn.ts";

/** So many at a time when the rollout itself sets no bound: a region that comes back is no wave of its own. */
const atOnceMax = 10;

/**
 * What a rollout that succeeded still owes: clusters that were silent or came too late get the bundle when they are heard
 * of. They are judged as in the rollout, and once more clusters failed than it allows the others leave it instead. What a later
 * rollout decided about a cluster is never touched.
 */
export function planCatchUp(snapshot: RolloutSnapshot): readonly ClusterChange[] {
  const { rollout, clusters, nowMs } = snapshot;
  const { id: rolloutId, spec, digest } = rollout;
  if (rollout.state !== "succeeded") return [];
  const by = { rolloutId, digest, nowMs, deadlineMs: spec.deadlineSeconds * 1000 };
  const judged = clusters.flatMap((cluster): readonly ClusterChange[] => {
    if (cluster.state === "waiting") return goneFrom(cluster, snapshot);
    if (cluster.state !== "assigned" && cluster.state !== "failed") return [];
    const gone = leaves(cluster, rolloutId);
    const change = gone ?? (cluster.state === "assigned" ? judgeAssigned(cluster, by) : undefined);
    return change === undefined ? [] : [change];
  });
  if (judged.length > 0) return judged;

  // A cluster that is heard of begins like a wave: not while the fleet is frozen, and within the rollout's windows.
  if (heldBy(spec, snapshot.freeze, nowMs) !== undefined) return [];
  const counted = clusters.filter((cluster) => cluster.state !== "removed").length;
  const failed = clusters.filter((cluster) => cluster.state === "failed").length;
  const allowed = failuresAllowed(spec, counted);
  const heard = clusters.filter((c) => c.state === "waiting" && c.heldBy === undefined && !isSilent(c));
  if (failed > allowed) {
    const reason = `not caught up: ${failed} failed, ${allowed} allowed`;
    return heard.map(({ id }): ClusterChange => ({ id, to: "removed", reason }));
  }
  const unproved = clusters.filter((cluster) => cluster.state === "assigned").length;
  const room = Math.min(roomFor(spec, clusters), Math.max(0, atOnceMax - unproved));
  return heard
    .slice(0, room)
    .map(({ id }): ClusterChange => ({ id, to: "assigned", assign: digest, reason: "" }));
}

function goneFrom(cluster: RolloutCluster, { rollout }: RolloutSnapshot): readonly ClusterChange[] {
  if (cluster.superseded === true) {
    return [{ id: cluster.id, to: "removed", reason: "a later rollout decided about it" }];
  }
  const gone = leaves(cluster, rollout.id);
  return gone === undefined ? [] : [gone];
}
