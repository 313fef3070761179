import type { Client } from "@connectrpc/connect";
import type { ClusterService } from "#proto/fleet/v1/cluster";
import type { Selector } from "#proto/fleet/v1/common";
import { renderSelector } from "./selector.ts";

/**
 * What to say when an answer about chosen clusters is empty because no cluster was chosen: a misspelt label must not read as a quiet
 * night. Undefined when all clusters were meant, or some are.
 */
export async function whyNoCluster(
  clusters: Client<typeof ClusterService>,
  selector: Selector,
): Promise<string | undefined> {
  if (selector.requirements.length === 0) return undefined;
  const { clusters: found } = await clusters.listClusters({ selector, pageSize: 1, includeRetired: true });
  if (found.length > 0) return undefined;
  return `No cluster matches ${renderSelector(selector)}. To see their labels: fleetctl cluster list -o wide`;
}
