import { BundleKind } from "#proto/fleet/v1/common";
import type { ThreatCount } from "./alerts.ts";
import { provedDigest, readCluster, readClusters } from "./clusters.ts";
import type { Fleet } from "./fleet.ts";
import type { StepResult } from "./steps.ts";

/** What `up --once -o json` prints. */
export async function reportOf(
  fleet: Fleet,
  steps: readonly StepResult[],
  alerts: ThreatCount | undefined,
): Promise<object> {
  const known = await readClusters(fleet);
  const sink = fleet.sink?.counts();
  const clusters = await Promise.all(
    fleet.plan.clusters.map(async ({ name, region }) => {
      const cluster = known.has(name) ? await readCluster(fleet, name) : undefined;
      return {
        name,
        region,
        id: cluster?.id ?? "",
        rules: provedDigest(cluster, BundleKind.RULES),
        shipper: provedDigest(cluster, BundleKind.SHIPPER),
        generation: Number(cluster?.assignment?.generation ?? 0n),
        transports: cluster?.agents.map((a) => a.transport) ?? [],
        recordsInLogStore: sink?.get(name) ?? 0,
      };
    }),
  );
  return { steps, clusters, alerts: alerts ?? { planted: 0, seen: 0, byRule: {} } };
}
