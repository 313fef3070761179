import type { Cluster, Rates } from "#proto/fleet/v1/cluster";
import type { BundleKind } from "#proto/fleet/v1/common";
import { type BundleRef } from "#proto/fleet/v1/common";
import { healthRank } from "./words.ts";

export interface HealthCounts {
  readonly healthy: number;
  readonly updating: number;
  readonly degraded: number;
  readonly silent: number;
}

/** How many clusters are how well, over some regions. */
export function countHealth(regions: readonly HealthCounts[]): HealthCounts {
  return {
    healthy: sum(regions, ({ healthy }) => healthy),
    updating: sum(regions, ({ updating }) => updating),
    degraded: sum(regions, ({ degraded }) => degraded),
    silent: sum(regions, ({ silent }) => silent),
  };
}

export function totalOf(regions: readonly HealthCounts[]): number {
  const { healthy, updating, degraded, silent } = countHealth(regions);
  return healthy + updating + degraded + silent;
}

/** A minute may be covered in part. */
export function eventsPerSecond(rates: Rates | undefined): number {
  return rates === undefined || rates.seconds === 0 ? 0 : Number(rates.events) / rates.seconds;
}

/** What a cluster proves of a kind. */
export function runningOf(cluster: Cluster, kind: BundleKind): BundleRef | undefined {
  return cluster.running.find(({ bundle }) => bundle?.kind === kind)?.bundle;
}

export function bundleText(bundle: Pick<BundleRef, "name" | "version"> | undefined): string {
  return bundle === undefined || bundle.name === "" ? "" : `${bundle.name}@${bundle.version}`;
}

/** Names as people count: eu-2 before eu-10. */
export function compareNames(a: string, b: string): number {
  return collator.compare(a, b);
}

const collator = new Intl.Collator("en", { numeric: true });

export type ClusterSort = "name" | "health" | "events" | "lag" | "seen";

/** The clusters in the order asked for; equal ones stand in the order of their names. */
export function sortClusters(
  clusters: readonly Cluster[],
  sort: ClusterSort,
  isReversed: boolean,
): readonly Cluster[] {
  const key = sortKeys[sort];
  const sign = isReversed ? -1 : 1;
  return clusters.toSorted((a, b) => sign * (key(a) - key(b)) || sign * compareNames(a.name, b.name));
}

/** Ascending means: what one looks for first. */
const sortKeys: Readonly<Record<ClusterSort, (cluster: Cluster) => number>> = {
  name: () => 0,
  health: (cluster) => healthRank(cluster.health),
  events: (cluster) => -eventsPerSecond(cluster.rates),
  lag: (cluster) => -Number(cluster.rates?.lagMs ?? -1n),
  seen: (cluster) => Number(cluster.lastSeenAt?.seconds ?? 0n),
};

function sum<T>(all: readonly T[], of: (each: T) => number): number {
  return all.reduce((total, each) => total + of(each), 0);
}
