import type { BundleKind } from "#proto/fleet/v1/common";
import { ClusterService } from "#proto/fleet/v1/cluster";
import type { Cluster } from "#proto/fleet/v1/cluster";
import { part } from "./fleet.ts";
import type { Fleet } from "./fleet.ts";

/** The local clusters as the server sees them, by name. */
export async function readClusters(fleet: Fleet): Promise<ReadonlyMap<string, Cluster>> {
  const client = part(fleet, "connection").client(ClusterService);
  const { clusters } = await client.listClusters({ pageSize: 500 });
  const wanted = new Set(fleet.plan.clusters.map((c) => c.name));
  return new Map(clusters.filter((c) => wanted.has(c.name)).map((c) => [c.name, c]));
}

export async function readCluster(fleet: Fleet, name: string): Promise<Cluster> {
  const { cluster } = await part(fleet, "connection").client(ClusterService).getCluster({ cluster: name });
  if (cluster === undefined) throw new Error(`The server answered without the cluster ${name}`);
  return cluster;
}

/** The digest that every agent of the cluster proves for a kind; empty while there is none. */
export function provedDigest(cluster: Cluster | undefined, kind: BundleKind): string {
  return cluster?.running.find((r) => r.bundle?.kind === kind)?.bundle?.digest ?? "";
}
