/** What the gates over alerts ask of one cluster. It is worked out once: each gate asks for each rule and each cluster, and facts do not change. */
import { pastMinutes, sliceMinutes, type GateCluster, type RuleCount } from "./facts.ts";
import { clamp, steadyRate, sum } from "./statistics.ts";
import { missingRates, type Vote } from "./vote.ts";

/** Fewer alerts than this, in one cluster and all the time it is watched, stop nothing. */
export const leastAlerts = 10;

interface Known {
  readonly missing: Vote | undefined;
  readonly rules: ReadonlyMap<string, KnownRule>;
}

interface KnownRule extends RuleCount {
  /** Alerts of a slice. */
  readonly rate: number;
  readonly burstiness: number;
}

const known = new WeakMap<GateCluster, Known>();

function knownOf(cluster: GateCluster): Known {
  let found = known.get(cluster);
  if (found === undefined) {
    const rules = cluster.rules.map((count) => {
      const rate = steadyRate(count.past);
      return [count.rule, { ...count, rate, burstiness: burstinessOf(count.past, rate) }] as const;
    });
    found = { missing: findMissing(cluster), rules: new Map(rules) };
    known.set(cluster, found);
  }
  return found;
}

/** What a cluster has to send before it can be judged; undefined when nothing is missing. */
export function missingAlerts(cluster: GateCluster): Vote | undefined {
  return knownOf(cluster).missing;
}

/** Alerts of a rule in each slice before the bundle came. */
export function pastOf(cluster: GateCluster, rule: string): readonly number[] {
  return knownOf(cluster).rules.get(rule)?.past ?? [];
}

/** Alerts of a rule since it is watched. */
export function nowOf(cluster: GateCluster, rule: string): number {
  return knownOf(cluster).rules.get(rule)?.now ?? 0;
}

/** Alerts of a rule in a slice, as they were before. */
export function rateOf(cluster: GateCluster, rule: string): number {
  return knownOf(cluster).rules.get(rule)?.rate ?? 0;
}

/** How uneven a rule fires by itself: 1 when by chance alone. The largest slices are left out as in the rate. */
export function burstiness(cluster: GateCluster, rule: string): number {
  return knownOf(cluster).rules.get(rule)?.burstiness ?? 1;
}

function burstinessOf(past: readonly number[], rate: number): number {
  if (!(rate > 0)) return 1;
  const spread = sum(past.map((count) => (count - rate) ** 2)) / past.length;
  return clamp(spread / rate, 1, 20);
}

function findMissing(cluster: GateCluster): Vote | undefined {
  const missing = missingRates(cluster);
  if (missing !== undefined) return missing;
  // The agent counted alerts that the store does not have: they are on their way, or the way is blocked.
  const counted = sum(cluster.now.map(({ alerts }) => alerts));
  const stored = sum(cluster.rules.map(({ now }) => now));
  const isLate = counted >= leastAlerts && stored < (counted * usualShare(cluster)) / 2;
  return isLate ? { kind: "missing", why: "alerts that agents counted have not arrived from" } : undefined;
}

/** Which share of what an agent counts comes to the server: a shipper config may send only some. */
function usualShare({ past, rules }: GateCluster): number {
  const counted = sum(past.map(({ alerts }) => alerts));
  // Slices are counted from the apply backwards, so that the first ones are the time of the rates.
  const minutes = Math.min(past.length, pastMinutes);
  const stored = sum(rules.map((rule) => sum(rule.past.slice(0, Math.ceil(minutes / sliceMinutes)))));
  return counted < leastAlerts ? 1 : Math.min(1, stored / counted);
}
