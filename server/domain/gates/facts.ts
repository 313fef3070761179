import type { ComponentName } from "../component.ts";

/** One whole minute of a cluster: the counters of its agents, added up. */
export interface Minute {
  readonly events: number;
  readonly alerts: number;
  /** Dropped, or parked as undeliverable. */
  readonly lost: number;
  /** The worst of its agents. */
  readonly lagMs: number;
  readonly detectionUs: number;
}

/** The alerts of one rule in one cluster. */
export interface RuleCount {
  readonly rule: string;
  /** Before the bundle came: one count per slice of `sliceMinutes`, the slices without alerts too. */
  readonly past: readonly number[];
  /** While it is watched. */
  readonly now: number;
}

/** A cluster as the gates look at it: what it did before it was given the bundle, and what it does since it proved. */
export interface GateCluster {
  readonly name: string;
  /**
   * Whether it ran a bundle of the kind before, for long enough to be compared with. One that did not has no past, only limits to keep.
   */
  readonly hasPrevious: boolean;
  /** The whole minutes that it has been watched, also those of which nothing was heard. */
  readonly watchedMinutes: number;
  readonly past: readonly Minute[];
  readonly now: readonly Minute[];
  /** Rules without an alert in both times are left out. */
  readonly rules: readonly RuleCount[];
  /** What became wrong on its agents since the bundle runs: "agent: code". */
  readonly troubles: readonly string[];
  /** An agent's clock is off, so that nobody knows which of its minutes were before the bundle came. */
  readonly isClockOff: boolean;
}

/** Everything that the gates of a wave are judged by. */
export interface GateFacts {
  readonly kind: ComponentName;
  /** The clusters of the wave that proved, or a sample of them that nobody can foresee. */
  readonly wave: readonly GateCluster[];
  /**
   * How many clusters the wave has, those that have not proved too. The first to prove must not be the one that decides:
   * it may be the one that lies.
   */
  readonly size: number;
  /** Clusters that kept what they had, in the same time. */
  readonly holdOut: readonly GateCluster[];
  /**
   * Which share of the clusters that do not have the bundle has an agent whose sessions begin again and again; only asked where the
   * wave has one.
   */
  readonly flappingOutside?: number;
  /** Names of rules that the bundles hold; absent for shipper configs, which change no rule. */
  readonly rules?: { readonly before: ReadonlySet<string>; readonly after: ReadonlySet<string> };
}

/** Rates are compared over so many whole minutes at least. */
export const watchedMinutesMin = 5;
/** And with an hour before the bundle came, of which so many minutes are needed. */
export const pastMinutes = 60;
export const pastMinutesMin = 10;
/** Alerts are rarer: two hours before, in slices. */
export const slices = 12;
export const sliceMinutes = 10;
/** Fewer slices show too little of how a rule fires by itself. */
export const slicesMin = 6;
/** What is watched is never longer than the past that rates are compared with. */
export const watchedMinutesMax = 60;
