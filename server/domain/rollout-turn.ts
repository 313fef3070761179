import type { Hold } from "./people/hold.ts";
import { strategyOf, unavailableAllowed } from "./rollout-strategy.ts";
import type { RolloutCluster } from "./rollout-cluster.ts";
import type { RolloutSpec } from "./rollout-spec.ts";
import type { Rollout } from "./rollout.ts";

/** What becomes of the clusters that wait for the bundle and whose wave has begun. */
export interface Turn {
  /** They get it now. */
  readonly now: readonly RolloutCluster[];
  /** They would, and the hour keeps them from it. */
  readonly held: readonly RolloutCluster[];
  /** There is no room for them until others have proved. */
  readonly queued: readonly RolloutCluster[];
  /** They are silent, and the wave does not pass before they are heard of. */
  readonly awaited: readonly RolloutCluster[];
  /** They hold nothing up; see `isSetAside`. */
  readonly aside: readonly RolloutCluster[];
}

/**
 * Whose turn it is. A cluster that came later gets the bundle once its wave is done, so that it never holds up the wave in
 * work; one that is to come with the last wave gets it after the end, from `planCatchUp`.
 */
export function planTurn(
  { rollout, clusters }: { readonly rollout: Rollout; readonly clusters: readonly RolloutCluster[] },
  hold: Hold | undefined,
): Turn {
  const { spec, wave } = rollout;
  const waiting = clusters.filter((cluster) => cluster.state === "waiting" && cluster.wave <= wave);
  const waits = strategyOf(spec).offline === "wait";
  const groups = Map.groupBy(waiting, (cluster): "aside" | "awaited" | "held" | "ready" => {
    if (isSetAside(cluster, rollout)) return "aside";
    if (waits && isSilent(cluster)) return "awaited";
    // They take no room: what is under way goes on.
    return hold?.holds(cluster) === true ? "held" : "ready";
  });
  // Newcomers take the room that is left, so that they do not stand in the way of those that were planned.
  const ready = (groups.get("ready") ?? []).toSorted(
    (a, b) => Number(a.late === true) - Number(b.late === true),
  );
  const room = roomFor(spec, clusters);
  return {
    now: ready.slice(0, room),
    held: groups.get("held") ?? [],
    queued: ready.slice(room),
    awaited: groups.get("awaited") ?? [],
    aside: groups.get("aside") ?? [],
  };
}

/** How many more clusters may be given the bundle before one of those that have it has proved. */
export function roomFor(spec: RolloutSpec, clusters: readonly RolloutCluster[]): number {
  const counted = clusters.filter((cluster) => cluster.state !== "removed").length;
  const unproved = clusters.filter((cluster) => cluster.state === "assigned").length;
  return Math.max(0, unavailableAllowed(spec, counted) - unproved);
}

/**
 * Whether a waiting cluster holds up no wave: its wave has to be done first, or it is silent and is to be skipped then. One
 * that came later and is silent is set aside whatever the policy says: its agent may not have been started yet.
 */
export function isSetAside(cluster: RolloutCluster, { spec, wave }: Rollout): boolean {
  if (cluster.state !== "waiting") return false;
  if (cluster.late === true) return cluster.wave >= wave || isSilent(cluster);
  return strategyOf(spec).offline === "skip" && isSilent(cluster);
}

/** Nothing is heard of one of its agents, or it has none. */
export function isSilent({ agents }: RolloutCluster): boolean {
  return agents.length === 0 || agents.some((agent) => agent.silent);
}

/**
 * Why a waiting cluster waits although its wave has begun; empty when there is nothing to say. `isUnheard` says what `isSilent` does, to be
 * given for those whose agents were not read.
 */
export function waitReason(
  cluster: Pick<RolloutCluster, "state" | "wave" | "late">,
  isUnheard: boolean,
  rollout: Rollout,
): string {
  if (cluster.state !== "waiting" || cluster.wave > rollout.wave) return "";
  if (!["running", "paused", "succeeded"].includes(rollout.state)) return "";
  if (isUnheard && strategyOf(rollout.spec).offline !== "count") {
    return "silent; gets it when it is heard of again";
  }
  if (cluster.late === true) return "came later; gets it when its wave is done";
  return "waits until others have proved";
}
