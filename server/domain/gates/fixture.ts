/** A fleet made by dice with a seed, for tests of gates: what rates and alerts look like when nothing is wrong. */
import { pastMinutes, sliceMinutes, slices, type GateCluster, type Minute, type RuleCount } from "./facts.ts";

/** Mulberry32: a seed that fails can be run again. */
export function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

export function poisson(random: () => number, mean: number): number {
  if (mean > 50) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal(random)));
  const floor = Math.exp(-mean);
  let count = 0;
  for (let left = random(); left > floor; left *= random()) count += 1;
  return count;
}

/** How a cluster behaves, without and with the new bundle. */
export interface Habits {
  /** Events a minute. */
  readonly events: number;
  /** How uneven minutes are: the deviation of the logarithm of a minute's mean. */
  readonly unevenness: number;
  /** Alerts an hour, by rule. */
  readonly alerts: Readonly<Record<string, number>>;
  readonly watched: number;
  /** Factors from the moment the bundle runs. */
  readonly read: number;
  readonly fire: (rule: string) => number;
  readonly cost: number;
}

export const habits: Habits = {
  events: 600,
  unevenness: 0.25,
  alerts: { steady: 30, rare: 1, loud: 300 },
  watched: 10,
  read: 1,
  fire: () => 1,
  cost: 1,
};

export function cluster(name: string, random: () => number, more: Partial<Habits> = {}): GateCluster {
  const as = { ...habits, ...more };
  const minute = (read: number, cost: number): Minute => {
    const events = poisson(random, as.events * read * Math.exp(as.unevenness * normal(random)));
    return { events, alerts: 0, lost: 0, lagMs: 500, detectionUs: events * 30 * cost };
  };
  const rules = Object.entries(as.alerts).map(([rule, hourly]): RuleCount => {
    const count = (minutes: number, factor: number) =>
      poisson(random, (hourly / 60) * minutes * factor * Math.exp(as.unevenness * normal(random)));
    return {
      rule,
      past: Array.from({ length: slices }, () => count(sliceMinutes, 1)),
      now: count(as.watched, as.fire(rule)),
    };
  });
  const watched = Array.from({ length: as.watched }, () => minute(as.read, as.cost));
  const alerts = rules.reduce((sum, { now }) => sum + now, 0);
  return {
    name,
    hasPrevious: true,
    watchedMinutes: as.watched,
    past: Array.from({ length: pastMinutes }, () => minute(1, 1)),
    // What the agent counts is what it sends.
    now: watched.map((each, i) => (i === 0 ? { ...each, alerts } : each)),
    rules,
    troubles: [],
    isClockOff: false,
  };
}

/** Clusters of different sizes: from a tenth to ten times the usual. */
export function fleet(n: number, random: () => number, more: Partial<Habits> = {}): readonly GateCluster[] {
  return Array.from({ length: n }, (_, i) => {
    const events = habits.events * 10 ** (2 * random() - 1);
    return cluster(`c${i}`, random, { events, ...more });
  });
}
