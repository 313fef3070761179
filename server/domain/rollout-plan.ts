import type { Digest, RolloutId } from "./ids.ts";
import { accept, refuse, type Outcome } from "./refusal.ts";
import type { RolloutSpec } from "./rollout-spec.ts";
import { emergencyTrouble } from "./people/spec.ts";
import { makeWaves } from "./rollout-waves.ts";
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
  /** An agent of it rejected what is assigned or went back from it, and does not run it. */
  readonly isGivenUp?: boolean;
  readonly silent: boolean;
  /** The engine of each agent that said it. */
  readonly engines?: readonly string[];
  /** Why it cannot take what is rolled out, whatever that is; absent when it can. */
  readonly unfit?: string;
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
  /** See `NamedWave`. */
  readonly group: string;
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

/** Which clusters a rollout takes in which waves, and which it leaves alone. */
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
  const unfit = chosen.filter((cluster) => cluster.unfit !== undefined);
  if (unfit.length > 0) {
    const first = unfit.slice(0, 5).map(({ name, unfit: reason }) => `${name} (${reason})`);
    const more = unfit.length > 5 ? ` and ${unfit.length - 5} more` : "";
    const why = `These clusters cannot take it: ${first.join(", ")}${more}. Leave them out by the selector`;
    return refuse({ kind: "precondition", why });
  }
  const isDone = (cluster: FleetCluster) => cluster.assigned === digest && cluster.running === digest;
  const moving = chosen.filter((cluster) => !isDone(cluster));
  const waves = wavesOf(spec, digest, moving);
  const silent = chosen
    .filter((cluster) => cluster.silent)
    .map((cluster) => cluster.id)
    .toSorted();
  const trouble = emergencyTrouble(spec, waves, new Set(silent));
  if (trouble !== undefined) return refuse({ kind: "precondition", why: trouble });
  return accept({
    digest,
    waves,
    unchanged: chosen
      .filter(isDone)
      .map((cluster) => cluster.id)
      .toSorted(),
    silent,
  });
}

function wavesOf(spec: RolloutSpec, digest: Digest, moving: readonly FleetCluster[]): readonly PlannedWave[] {
  return makeWaves(spec, moving).map(({ name, group, clusters }) => ({
    name,
    group,
    clusters: clusters.map((cluster) => planned(cluster, digest)),
  }));
}

function planned(cluster: FleetCluster, digest: Digest): PlannedCluster {
  const previous = wayBack(cluster, digest);
  const { id, name } = cluster;
  return previous === undefined ? { id, name } : { id, name, previous };
}

/**
 * What a cluster that is given a bundle goes back to: its assignment, or what it runs now, when the assignment names the same bundle
 * and it never came to run, or another one that its agent gave up: to go back to that would be to try a bad bundle again.
 */
export function wayBack(
  { assigned, running, isGivenUp = false }: Pick<FleetCluster, "assigned" | "running" | "isGivenUp">,
  digest: Digest,
): Digest | undefined {
  const previous = assigned === digest || isGivenUp ? (running ?? assigned) : assigned;
  return previous === digest ? undefined : previous;
}

/**
 * The text whose hash is the plan's digest: the same plan has the same text on every server. Holds all that decides what
 * happens, also to clusters that come later: the whole spec but for the bundle's name, which the digest stands for, and
 * for what only lets it start. What is only told (names, who is silent) is left out, so that it does not make a plan stale.
 */
export function canonicalPlan(spec: RolloutSpec, plan: RolloutPlan): string {
  const { bundle: _name, allowCoverageLoss: _word, ...rest } = spec;
  return JSON.stringify([
    "falconry rollout plan 2",
    plan.digest,
    sorted(rest),
    plan.waves.map((wave) => [wave.name, wave.group, wave.clusters.map((c) => [c.id, c.previous ?? null])]),
  ]);
}

/** The same value with the keys of every object in one order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, each]) => [key, sorted(each)]));
}
