import { strategyOf, unavailableAllowed } from "./rollout-strategy.ts";
import type { RolloutCluster } from "./rollout-cluster.ts";
import type { RolloutSpec } from "./rollout-spec.ts";
import type { Rollout } from "./rollout.ts";

/** What becomes of the clusters that wait for the bundle and whose wave has begun. */
export interface Turn {
  /** They get it now. */
  readonly now: readonly RolloutCluster[];
  /** There is no room for them until others have proved. */
  readonly queued: readonly RolloutCluster[];
  /** They are silent, and the wave does not pass before they are heard of. */
  readonly awaited: readonly RolloutCluster[];
  /** They are silent, and the wave passes without them. */
  readonly aside: readonly RolloutCluster[];
}

/**
 * Whose turn it is. A cluster that came later gets the bundle once its wave is done; `lateToo` lets those of the wave in
 * work have it as well, which is for the last one: no other follows.
 */
export function planTurn(
  { rollout, clusters }: { readonly rollout: Rollout; readonly clusters: readonly RolloutCluster[] },
  lateToo: boolean,
): Turn {
  const { spec, wave } = rollout;
  const hasBegun = (c: RolloutCluster) => c.wave < wave || (c.wave === wave && (lateToo || c.late !== true));
  const waiting = clusters.filter((cluster) => cluster.state === "waiting" && hasBegun(cluster));
  const aside = waiting.filter((cluster) => isSetAside(cluster, spec));
  const waits = strategyOf(spec).offline === "wait";
  const awaited = waiting.filter((cluster) => waits && isSilent(cluster) && !aside.includes(cluster));
  const ready = waiting.filter((cluster) => !aside.includes(cluster) && !awaited.includes(cluster));
  const room = roomFor(spec, clusters);
  return { now: ready.slice(0, room), queued: ready.slice(room), awaited, aside };
}

/** How many more clusters may be given the bundle before one of those that have it has proved. */
export function roomFor(spec: RolloutSpec, clusters: readonly RolloutCluster[]): number {
  const counted = clusters.filter((cluster) => cluster.state !== "removed").length;
  const unproved = clusters.filter((cluster) => cluster.state === "assigned").length;
  return Math.max(0, unavailableAllowed(spec, counted) - unproved);
}

/**
 * Whether a waiting cluster holds up no wave: it is silent and is to be skipped then. One that came later and was never
 * heard of is set aside whatever the policy says: its agent may not have been started yet.
 */
export function isSetAside(cluster: RolloutCluster, spec: RolloutSpec): boolean {
  const skips = cluster.late === true || strategyOf(spec).offline === "skip";
  return cluster.state === "waiting" && skips && isSilent(cluster);
}

/** Nothing is heard of one of its agents, or it has none. */
export function isSilent({ agents }: RolloutCluster): boolean {
  return agents.length === 0 || agents.some((agent) => agent.silent);
}

/** Why a waiting cluster waits although its wave has begun; empty when there is nothing to say. */
export function waitReason(cluster: RolloutCluster, rollout: Rollout): string {
  if (cluster.state !== "waiting" || cluster.wave > rollout.wave) return "";
  if (!["running", "paused", "succeeded"].includes(rollout.state)) return "";
  if (isSilent(cluster) && strategyOf(rollout.spec).offline !== "count") {
    return "silent; gets it when it is heard of again";
  }
  if (cluster.late === true) return "came later; gets it when its wave is done";
  return "waits until others have proved";
}
