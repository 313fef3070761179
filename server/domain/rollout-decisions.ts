/** What people decide about a rollout: the clusters that change together with the step of the state machine. */
import { accept, refuse, type Outcome } from "./refusal.ts";
import { goesBackTo, type ClusterChange, type RolloutCluster } from "./rollout-cluster.ts";
import { revert, type RolloutSnapshot } from "./rollout-step.ts";

/** Abort: who proved the bundle keeps it, who was assigned it and has not proved it goes back. */
export function planAbort({ clusters }: RolloutSnapshot): readonly ClusterChange[] {
  return clusters
    .filter((cluster) => cluster.state === "assigned" && !cluster.retired)
    .flatMap((cluster) => revert(cluster, "the rollout was aborted before it proved"));
}

/** Resume: failures are forgiven, so that the failed clusters are tried again under a new generation. */
export function planResume({ clusters }: RolloutSnapshot): readonly ClusterChange[] {
  return clusters
    .filter((cluster) => cluster.state === "failed" && !cluster.retired)
    .map((cluster): ClusterChange => ({ id: cluster.id, to: "waiting", reason: "" }));
}

/** What an undo does, and the clusters that keep what they have, each with the reason. */
export interface Undo {
  readonly changes: readonly ClusterChange[];
  readonly because: string;
}

/**
 * Undo: every cluster that this rollout gave the bundle goes back at once, except those that ran nothing before and those
 * that another rollout moved on or holds.
 */
export function planUndo({ rollout, clusters }: RolloutSnapshot): Outcome<Undo> {
  const given = clusters.filter((c) => (c.state === "assigned" || c.state === "proved") && !c.retired);
  const isMovedOn = (c: RolloutCluster) => c.assignment.rolloutId !== rollout.id || c.heldBy !== undefined;
  const movedOn = given.filter(isMovedOn);
  const ours = given.filter((cluster) => !isMovedOn(cluster));
  const delisted = ours.filter((cluster) => cluster.previous !== undefined && !cluster.previousListed);
  if (delisted.length > 0) {
    const digests = [...new Set(delisted.map((cluster) => cluster.previous))].join(", ");
    const why = `${delisted.length} clusters would go back to ${digests}, which targets metadata no longer lists: release it again first`;
    return refuse({ kind: "precondition", why });
  }
  const back = ours.filter((cluster) => goesBackTo(cluster) !== undefined);
  const kept = [
    ...movedOn.map((cluster) => `${cluster.name} (${movedOnReason(cluster)})`),
    ...ours
      .filter((cluster) => goesBackTo(cluster) === undefined)
      .map((cluster) => `${cluster.name} (ran nothing before)`),
  ];
  if (back.length === 0) {
    const why =
      kept.length === 0 ? "it gave the bundle to none" : `all keep what they have: ${firstOf(kept)}`;
    return refuse({ kind: "precondition", why: `No cluster of rollout ${rollout.id} can go back: ${why}` });
  }
  const keeping = kept.length === 0 ? "" : `; these keep what they have: ${firstOf(kept)}`;
  return accept({
    changes: [...back.flatMap((cluster) => revert(cluster, "the rollout was undone")), ...movedOn.map(leave)],
    because: `undone: ${back.length} of ${given.length} clusters are sent back${keeping}`,
  });
}

function leave(cluster: RolloutCluster): ClusterChange {
  return { id: cluster.id, to: "removed", reason: movedOnReason(cluster) };
}

function movedOnReason(cluster: RolloutCluster): string {
  const by = cluster.heldBy ?? cluster.assignment.rolloutId;
  return by === undefined ? "its assignment was changed from outside" : `rollout ${by} has it now`;
}

function firstOf(items: readonly string[]): string {
  return `${items.slice(0, 10).join(", ")}${items.length > 10 ? ` and ${items.length - 10} more` : ""}`;
}
