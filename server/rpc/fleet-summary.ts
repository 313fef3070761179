import { create } from "@bufbuild/protobuf";
import {
  ClusterStandingSchema,
  GetFleetSummaryResponseSchema,
  RegionMinuteSchema,
  RegionSummarySchema,
  type Cluster,
  type GetFleetSummaryRequest,
  type GetFleetSummaryResponse,
  type RegionSummary,
} from "#proto/fleet/v1/cluster";

import { invalid } from "../domain/refusal.ts";
import type { Scope } from "../domain/scope.ts";
import type { Selector } from "../domain/selector.ts";
import { shared } from "../shared.ts";
import { listClustersById } from "../store/clusters.ts";
import {
  listRegionMinutes,
  regionsMax,
  summarizeFleet,
  type RegionMinute,
  type RegionSummary as Summary,
} from "../store/fleet-summary.ts";
import type { Database } from "../store/pool.ts";
import { healths } from "./cluster-message.ts";
import { ratesFreshMs, toMessages } from "./cluster-parts.ts";
import { fromSelector, toTimestamp } from "./messages.ts";
import { orRefuse } from "./refusals.ts";

const minuteMs = 60_000;
const bounds = { worst: 200, minutes: 60 } as const;
/** Clusters that are told with the reason why they need somebody. */
const needingMax = 20;
/** Each console asks every 5 s at most, so that many of them cost little more than one. */
const countedMs = 3_000;
/** Different questions whose answers are shared. One of ten thousand clusters in as many regions takes some megabytes. */
const answersMax = 20;

interface Counted {
  readonly summaries: readonly Summary[];
  readonly needing: readonly Cluster[];
}

export interface FleetSummaryOptions {
  readonly db: Database;
  readonly now: () => Date;
}

/** The fleet by region, for who looks at all of it at once. Who asks the same within a moment shares one answer. */
export function fleetSummaries(options: FleetSummaryOptions) {
  const { db, now } = options;
  const nowMs = () => now().getTime();
  const shareCounted = shared<Counted>({ keptMs: countedMs, answersMax, now: nowMs });
  const shareMinutes = shared<readonly RegionMinute[]>({ keptMs: minuteMs, answersMax, now: nowMs });
  return async (scope: Scope, request: GetFleetSummaryRequest): Promise<GetFleetSummaryResponse> => {
    for (const [field, max] of Object.entries(bounds) as [keyof typeof bounds, number][]) {
      if (request[field] > max) orRefuse(invalid(field, `is ${request[field]}; at most ${max} is allowed`));
    }
    const selector = orRefuse(fromSelector("selector", request.selector));
    const chosen = { scope, selector };
    const { worst, minutes, onlyMinutes } = request;
    const key = JSON.stringify([scope, selector]);
    const counted = onlyMinutes ? undefined : await shareCounted(key, () => count(options, chosen));
    const untilMs = Math.floor(nowMs() / minuteMs) * minuteMs;
    const since = new Date(untilMs - minutes * minuteMs);
    // The minute in work is left out: an answer is kept until it is over, and of most clusters it is not whole.
    const read = async () =>
      (await listRegionMinutes(db, chosen, since)).filter((each) => each.minuteMs < untilMs);
    const byRegion = Map.groupBy(
      minutes === 0 ? [] : await shareMinutes(`${minutes} ${key}`, read),
      ({ region }) => region,
    );
    if (counted === undefined) {
      return create(GetFleetSummaryResponseSchema, { regions: minutesAlone(byRegion) });
    }
    const { summaries, needing } = counted;
    const regions = summaries.map((each) => toRegion(each, worst, byRegion.get(each.region) ?? []));
    return create(GetFleetSummaryResponseSchema, { regions, needing: [...needing] });
  };
}

type Chosen = { readonly scope: Scope; readonly selector: Selector };

/** As many of the worst as may be asked for, so that all who ask can be given theirs. */
async function count({ db, now }: FleetSummaryOptions, { scope, selector }: Chosen): Promise<Counted> {
  const at = now();
  const ratesSince = new Date(at.getTime() - ratesFreshMs);
  const summaries = await summarizeFleet(db, { scope, selector, worst: bounds.worst, now: at, ratesSince });
  const ids = idsOfNeeding(summaries);
  const rows = await listClustersById(db, scope, ids);
  const messages = await toMessages({ db, now: () => at }, rows, 1, false);
  const placeOf = new Map(ids.map((id, place) => [id, place]));
  const needing = messages.toSorted((a, b) => (placeOf.get(a.id) ?? 0) - (placeOf.get(b.id) ?? 0));
  return { summaries, needing };
}

/** Regions without their clusters, in the order of their names. */
function minutesAlone(byRegion: ReadonlyMap<string, readonly RegionMinute[]>): RegionSummary[] {
  return [...byRegion]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .slice(0, regionsMax)
    .map(([region, minutes]) => create(RegionSummarySchema, { region, minutes: minutes.map(toMinute) }));
}

/** Ids of those that are silent, then of those that are degraded, over all regions. */
function idsOfNeeding(summaries: readonly Summary[]): readonly string[] {
  const all = summaries.flatMap(({ worst }) => worst);
  return (["silent", "degraded"] as const)
    .flatMap((health) =>
      all.filter((each) => each.health === health).toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    )
    .slice(0, needingMax)
    .map(({ id }) => id);
}

function toRegion(summary: Summary, worst: number, minutes: readonly RegionMinute[]): RegionSummary {
  const { region, counts, eventsPerSecond, alerts, dropped, lagMs } = summary;
  return create(RegionSummarySchema, {
    region,
    ...counts,
    eventsPerSecond,
    alerts,
    dropped,
    lagMs,
    worst: summary.worst
      .slice(0, worst)
      .map(({ name, health, eventsPerSecond: each }) =>
        create(ClusterStandingSchema, { name, health: healths[health], eventsPerSecond: each }),
      ),
    minutes: minutes.map(toMinute),
  });
}

function toMinute({ minuteMs: at, eventsPerSecond }: RegionMinute) {
  return create(RegionMinuteSchema, { minute: toTimestamp(new Date(at)), eventsPerSecond });
}
