import { Code, ConnectError, type Client } from "@connectrpc/connect";
import type { Cluster, ClusterService } from "#proto/fleet/v1/cluster";

/** A cluster of the fleet by its name; undefined when there is none that the caller may see. */
export async function findCluster(
  clusters: Client<typeof ClusterService>,
  name: string,
): Promise<Cluster | undefined> {
  try {
    return (await clusters.getCluster({ cluster: name })).cluster;
  } catch (error) {
    if (error instanceof ConnectError && error.code === Code.NotFound) return undefined;
    throw error;
  }
}
