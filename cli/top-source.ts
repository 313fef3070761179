import type { Client } from "@connectrpc/connect";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { ClusterService, RateSeries } from "#proto/fleet/v1/cluster";
import type { Selector } from "#proto/fleet/v1/common";
import type { Rollout, RolloutService } from "#proto/fleet/v1/rollout";
import type { RateRow } from "./output/rates.ts";
import { healths, type Health, type TopRollout, type TopRow } from "./output/top.ts";
import { pages } from "./pages.ts";
import { progressOf } from "./rollout-view.ts";
import { healthOf, nameOf, newestRates, secondsOf } from "./views.ts";

/** A cluster that was silent for so long shows as silent, not with old figures. */
export const windowMinutes = 3;
/** Health changes less often than rates, and takes every page of clusters. */
const healthEveryMs = 15_000;
const clustersMax = 20_000;
const rolloutsMax = 20;

/** What flowed through a cluster in its newest minute. */
export function rateRowOf(series: RateSeries): RateRow {
  const rates = newestRates(series.rates);
  const seconds = rates === undefined ? 60 : secondsOf(rates);
  const perSecond = (count: bigint | undefined) => Number(count ?? 0n) / seconds;
  return {
    name: series.clusterName,
    eventsPerSecond: perSecond(rates?.events),
    bytesPerSecond: perSecond(rates?.bytes),
    alertsPerMinute: perSecond(rates?.alerts) * 60,
    dropped: Number(rates?.dropped ?? 0n),
    parked: Number(rates?.parked ?? 0n),
    lagMs: Number(rates?.lagMs ?? 0n),
    detectionUsPerSecond: perSecond(rates?.detectionUs),
    ...(rates?.minute === undefined ? {} : { minuteAt: timestampMs(rates.minute) }),
  };
}

/** The fleet as `top` shows it. */
export interface TopFleet {
  readonly rows: readonly TopRow[];
  readonly rollouts: readonly TopRollout[];
}

/** Asks the server for the fleet of now; health is asked for less often. */
export function topSource(
  clusters: Client<typeof ClusterService>,
  rollouts: Client<typeof RolloutService>,
  selector: Selector,
  now: () => number,
): (signal: AbortSignal) => Promise<TopFleet> {
  let known: ReadonlyMap<string, Health> = new Map();
  let askedAt = Number.NEGATIVE_INFINITY;
  return async (signal) => {
    if (now() - askedAt >= healthEveryMs) {
      known = await healthsOf(clusters, selector, signal);
      askedAt = now();
    }
    const [{ series }, { rollouts: open }] = await Promise.all([
      clusters.getRates({ selector, minutes: windowMinutes }, { signal }),
      rollouts.listRollouts({ unfinished: true, pageSize: rolloutsMax }, { signal }),
    ]);
    const rows = series.map((each) => ({
      ...rateRowOf(each),
      health: known.get(each.clusterName) ?? ("unknown" as const),
    }));
    return { rows, rollouts: open.map(rolloutOf) };
  };
}

async function healthsOf(
  clusters: Client<typeof ClusterService>,
  selector: Selector,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Health>> {
  const found = new Map<string, Health>();
  const get = (pageToken: string) =>
    clusters.listClusters({ selector, pageToken, pageSize: 1_000 }, { signal });
  for await (const page of pages(get)) {
    for (const { name, health } of page.clusters) {
      const word = healthOf(health);
      found.set(name, healths.find((each) => each === word) ?? "unknown");
    }
    if (found.size >= clustersMax) break;
  }
  return found;
}

function rolloutOf(rollout: Rollout): TopRollout {
  const { state, waves } = progressOf(rollout);
  const counted = waves.flatMap((wave) => wave.clusters).filter(({ step }) => step !== "removed");
  return {
    id: rollout.id,
    bundle: nameOf(rollout.bundle),
    state,
    wave: `${Math.min(rollout.wave + 1, waves.length)}/${waves.length}`,
    proved: `${counted.filter(({ step }) => step === "proved").length}/${counted.length}`,
  };
}
