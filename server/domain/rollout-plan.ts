import type { Digest, RolloutId } from "./ids.ts";
import { accept, refuse, type Outcome } from "./refusal.ts";
import type { RolloutSpec } from "./rollout-spec.ts";
import { matchesSelector } from "./selector.ts";

/** One cluster as the fleet has it when a plan is made. Retired clusters are not part of the fleet. */
export interface FleetCluster {
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** What its assignment names for the kind. */
  readonly assigned?: Digest;
  /** What every agent of it proves to run; absent while they differ or none has proved. */
  readonly running?: Digest;
  readonly silent: boolean;
  /** The unfinished rollout of the kind that it is part of. */
  readonly busyWith?: RolloutId;
}

export interface PlannedCluster {
  readonly id: string;
  readonly name: string;
  /** What it goes back to; absent when it ran nothing of the kind. */
  readonly previous?: Digest;
}

export interface PlannedWave {
  readonly name: string;
  readonly clusters: readonly PlannedCluster[];
}

/** What a rollout would do, complete: whoever starts it has nothing left to choose. */
export interface RolloutPlan {
  readonly digest: Digest;
  readonly waves: readonly PlannedWave[];
  /** Ids of matching clusters that run the bundle already and are left alone. */
  readonly unchanged: readonly string[];
  /** Ids of matching clusters that are silent now. They are taken last in their region and count when they fail. */
  readonly silent: readonly string[];
}

/**
 * The waves in which a rollout takes the matching clusters: region by region, a canary first and then growing waves.
 * Silent clusters come last in their region, because a canary that cannot answer shows nothing.
 */
export function planRollout(
  spec: RolloutSpec,
  digest: Digest,
  fleet: readonly FleetCluster[],
): Outcome<RolloutPlan> {
  const chosen = fleet.filter((cluster) => matchesSelector(spec.selector, cluster.labels));
  if (chosen.length === 0) {
    const why = `No cluster matches the selector; the fleet has ${fleet.length}. See: fleetctl cluster list`;
    return refuse({ kind: "precondition", why });
  }
  const busy = chosen.find((cluster) => cluster.busyWith !== undefined);
  if (busy !== undefined) {
    const why = `Cluster "${busy.name}" is in rollout ${busy.busyWith}, which has not ended: abort it or let it end first`;
    return refuse({ kind: "precondition", why });
  }
  const isDone = (cluster: FleetCluster) => cluster.assigned === digest && cluster.running === digest;
  const moving = chosen.filter((cluster) => !isDone(cluster));
  return accept({
    digest,
    waves: wavesOf(spec, digest, moving),
    unchanged: chosen
      .filter(isDone)
      .map((cluster) => cluster.id)
      .toSorted(),
    silent: chosen
      .filter((cluster) => cluster.silent)
      .map((cluster) => cluster.id)
      .toSorted(),
  });
}

function wavesOf(spec: RolloutSpec, digest: Digest, moving: readonly FleetCluster[]): readonly PlannedWave[] {
  const byRegion = Map.groupBy(moving, (cluster) => cluster.labels["region"] ?? "");
  return regionsInOrder(spec.regionOrder, [...byRegion.keys()]).flatMap((region, i) => {
    const clusters = (byRegion.get(region) ?? []).toSorted(bySilenceThenName);
    const batches = growingBatches(clusters, spec.canary, spec.growth);
    return batches.map((batch, j) => ({
      name: waveName(region, j, batches.length, i === 0),
      clusters: batch.map((cluster) => planned(cluster, digest)),
    }));
  });
}

/** The named regions first, in their order, then the others by name. Regions without clusters are left out. */
function regionsInOrder(order: readonly string[], present: readonly string[]): readonly string[] {
  const named = order.filter((region) => present.includes(region));
  return [...named, ...present.filter((region) => !named.includes(region)).toSorted(byText)];
}

function growingBatches<T>(all: readonly T[], first: number, growth: number): readonly (readonly T[])[] {
  const batches: (readonly T[])[] = [];
  for (let at = 0, size = first; at < all.length; at += size, size *= growth) {
    batches.push(all.slice(at, at + size));
  }
  return batches;
}

function waveName(region: string, index: number, count: number, firstRegion: boolean): string {
  const name = region === "" ? "no region" : region;
  if (firstRegion && index === 0) return `canary ${name}`;
  return count === 1 ? name : `${name} ${index + 1} of ${count}`;
}

/**
 * What the cluster goes back to: its assignment, or, when that names the same bundle and it never came to run, what
 * it runs now.
 */
function planned(cluster: FleetCluster, digest: Digest): PlannedCluster {
  const previous = cluster.assigned === digest ? cluster.running : cluster.assigned;
  const { id, name } = cluster;
  return previous === undefined || previous === digest ? { id, name } : { id, name, previous };
}

function bySilenceThenName(a: FleetCluster, b: FleetCluster): number {
  return Number(a.silent) - Number(b.silent) || byText(a.name, b.name);
}

// Not localeCompare: the order of waves must not depend on the locale of the server that plans.
function byText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/**
 * The text whose hash is the plan's digest: the same plan has the same text on every server. Holds all that decides what
 * happens; what is only told (names, who is silent) is left out, so that it does not make a plan stale.
 */
export function canonicalPlan(spec: RolloutSpec, plan: RolloutPlan): string {
  return JSON.stringify([
    "falconry rollout plan 1",
    spec.kind,
    plan.digest,
    spec.failuresMax,
    spec.soakSeconds,
    spec.deadlineSeconds,
    spec.onFailure,
    ...(spec.shadowSeconds === undefined ? [] : [["shadow", spec.shadowSeconds, spec.shadowThenGo === true]]),
    plan.waves.map((wave) => [wave.name, wave.clusters.map((c) => [c.id, c.previous ?? null])]),
  ]);
}
