import type { Cluster } from "#proto/fleet/v1/cluster";

import { findBundleNames } from "../store/bundles.ts";
import { loadClusterParts, type ClusterRow } from "../store/clusters.ts";
import type { Database } from "../store/pool.ts";
import { digestsIn, partsByCluster, toCluster } from "./cluster-message.ts";

/** A minute counts as the last one for so long; after that a cluster shows no rates. */
export const ratesFreshMs: number = 3 * 60_000;

/** Clusters as people see them, in few queries for all of them. */
export async function toMessages(
  { db, now }: { readonly db: Database; readonly now: () => Date },
  rows: readonly ClusterRow[],
  attemptsPerKind: number,
  withAgents: boolean,
): Promise<Cluster[]> {
  const at = now();
  const ratesSince = new Date(at.getTime() - ratesFreshMs);
  const ids = rows.map((row) => row.id);
  const parts = await loadClusterParts(db, ids, { attemptsPerKind, ratesSince });
  const names = await findBundleNames(db, digestsIn(parts));
  const partsOf = partsByCluster(parts);
  return rows.map((row) => toCluster(row, partsOf(row.id), names, at, withAgents));
}
