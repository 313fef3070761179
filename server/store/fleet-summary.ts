import { layerComponent } from "../domain/component.ts";
import type { Health } from "../domain/cluster-health.ts";
import { goneAfterMs, silentAfterMs } from "../domain/liveness.ts";
import type { Scope } from "../domain/scope.ts";
import type { Selector } from "../domain/selector.ts";
import { sql, type SQL } from "./drizzle.ts";
import type { Db } from "./pool.ts";
import { hasLeft } from "./left.ts";
import { labelsIn } from "./scopes.ts";
import { secondsShownMin } from "./clusters.ts";
import { whereLabels } from "./selectors.ts";
import { isFresh } from "./suspicions.ts";

/** What is asked about a fleet. Retired clusters are never in it. */
export interface SummaryWish {
  readonly scope: Scope;
  readonly selector: Selector;
  /** Clusters told of each region. */
  readonly worst: number;
  readonly now: Date;
  /** From when on a minute counts as the last one of a cluster. */
  readonly ratesSince: Date;
}

/** The clusters of one region; rates are of the newest minute of each. */
export interface RegionSummary {
  readonly region: string;
  readonly counts: Readonly<Record<Health, number>>;
  readonly eventsPerSecond: number;
  readonly alerts: bigint;
  readonly dropped: bigint;
  readonly lagMs: bigint;
  /** The worst first, then by name. */
  readonly worst: readonly {
    readonly id: string;
    readonly name: string;
    readonly health: Health;
    readonly eventsPerSecond: number;
  }[];
}

/** Regions told apart: those with the most clusters. */
export const regionsMax = 1_000;

/** By their ranks in the statement; the higher the worse. */
const healths = ["healthy", "updating", "degraded", "silent"] as const satisfies readonly Health[];

/**
 * The fleet by region in one statement, so that a fleet of ten thousand is counted where it is stored. Its ranks say what
 * `judgeHealth` says of each cluster, which a test holds.
 */
export async function summarizeFleet(db: Db, wish: SummaryWish): Promise<readonly RegionSummary[]> {
  const { rows } = await db.execute<SummaryRow>(summaryStatement(wish));
  return rows.map(({ region, ranks, worst, eventsPerSecond, alerts, dropped, lagMs }) => ({
    region,
    counts: {
      healthy: ranks[0] ?? 0,
      updating: ranks[1] ?? 0,
      degraded: ranks[2] ?? 0,
      silent: ranks[3] ?? 0,
    },
    eventsPerSecond,
    alerts: BigInt(alerts),
    dropped: BigInt(dropped),
    lagMs: BigInt(lagMs),
    worst: (worst ?? []).map(({ id, name, rank, eventsPerSecond: each }) => ({
      id,
      name,
      health: healths[rank] ?? "silent",
      eventsPerSecond: each,
    })),
  }));
}

interface SummaryRow extends Record<string, unknown> {
  readonly region: string;
  readonly ranks: readonly number[];
  readonly eventsPerSecond: number;
  readonly alerts: string;
  readonly dropped: string;
  readonly lagMs: string;
  readonly worst:
    | readonly {
        readonly id: string;
        readonly name: string;
        readonly rank: number;
        readonly eventsPerSecond: number;
      }[]
    | null;
}

/** For whoever wants to see how the database goes about it. */
export function summaryStatement(wish: SummaryWish): SQL {
  const { scope, selector, worst, ratesSince } = wish;
  return sql`
    with chosen as (
      select c.id, c.name, coalesce(c.labels ->> 'region', '') as region from clusters c
      where c.retired_at is null and ${labelsIn(scope, "c")} and ${whereLabels(sql`c.labels`, selector)}
    ), wanted as (
      select a.cluster_id, k.kind, k.digest from assignments a
      cross join lateral (values ('rules', a.rules_digest), ('shipper', a.shipper_digest)) k (kind, digest)
      where k.digest is not null
      union all
      select cluster_id, ${layerComponent("")} || layer, digest from assignment_layers where digest is not null
    ), differing as (
      select g.id as agent_id, w.kind, w.digest from chosen c
      join agents g on g.cluster_id = c.id and g.revoked_at is null
      join wanted w on w.cluster_id = c.id
      left join agent_components p on p.agent_id = g.id and p.kind = w.kind
      where p.running_digest is distinct from w.digest and (w.kind in ('rules', 'shipper') or p.agent_id is not null)
    ), ${agentRanks(wish)}, judged as (
      select cluster_id, coalesce(max(rank) filter (where is_present), max(rank)) as rank
      from agent_ranks group by cluster_id
    ), ranked as (
      select c.id, c.name, c.region, coalesce(j.rank, 3) as rank from chosen c left join judged j on j.cluster_id = c.id
    ), newest as (
      select distinct on (r.agent_id) r.* from rates r join chosen c on c.id = r.cluster_id
      where r.minute >= ${ratesSince.toISOString()}::timestamptz and r.seconds >= ${secondsShownMin}
        and exists (select 1 from agents g where g.id = r.agent_id and g.revoked_at is null)
      order by r.agent_id, r.minute desc
    ), latest as (
      select n.*, max(n.minute) over (partition by n.cluster_id) as newest_of_cluster from newest n
    ), rated as (
      select cluster_id, sum(events)::float8 / max(seconds) as events_per_second, sum(alerts) as alerts,
        sum(dropped) as dropped, max(lag_ms) as lag_ms
      from latest where minute = newest_of_cluster group by cluster_id
    ), standing as (
      select k.*, coalesce(t.events_per_second, 0) as events_per_second, t.alerts, t.dropped, t.lag_ms,
        row_number() over (partition by k.region order by k.rank desc, k.name collate "C") as place
      from ranked k left join rated t on t.cluster_id = k.id
    )
    select * from (
      select region,
        array[count(*) filter (where rank = 0), count(*) filter (where rank = 1),
          count(*) filter (where rank = 2), count(*) filter (where rank = 3)]::int[] as ranks,
        sum(events_per_second) as "eventsPerSecond", coalesce(sum(alerts), 0)::text as alerts,
        coalesce(sum(dropped), 0)::text as dropped, coalesce(max(lag_ms), 0)::text as "lagMs",
        json_agg(json_build_object('id', id, 'name', name, 'rank', rank, 'eventsPerSecond', events_per_second)
          order by place) filter (where place <= ${worst}::int) as worst
      from standing group by region order by count(*) desc, region limit ${regionsMax}
    ) summary order by region collate "C"`;
}

/** Each agent's part of its cluster's health: 3 silent, 2 degraded, 1 updating, 0 healthy. */
function agentRanks({ now }: SummaryWish): SQL {
  const before = (ms: number) => sql`${new Date(now.getTime() - ms).toISOString()}::timestamptz`;
  return sql`failed as (
      select distinct d.agent_id from differing d cross join lateral (
        select t.digest, t.phase from attempts t where t.agent_id = d.agent_id and t.kind = d.kind
        order by t.generation desc, t.at desc limit 1
      ) t where t.digest = d.digest and t.phase in ('rejected', 'rolled-back')
    ), missing as (
      select distinct agent_id from differing where kind in ('rules', 'shipper')
    ), agent_ranks as (
      select g.cluster_id,
        coalesce(g.last_seen_at >= ${before(goneAfterMs)}, false) and not ${hasLeft(sql`g`, now)} as is_present,
        case
          when coalesce(g.last_seen_at, g.created_at) < ${before(silentAfterMs)} then 3
          when f.agent_id is not null then 2
          when g.conditions <> '[]' and exists (
            select 1 from jsonb_array_elements(g.conditions) e where e ->> 'code' not like 'trust/aging %') then 2
          when g.suspicions <> '[]' and exists (
            select 1 from jsonb_array_elements(g.suspicions) e where ${isFresh(now)}) then 2
          when g.last_seen_at is null or m.agent_id is not null then 1
          else 0
        end as rank
      from chosen c join agents g on g.cluster_id = c.id and g.revoked_at is null
      left join failed f on f.agent_id = g.id left join missing m on m.agent_id = g.id
    )`;
}

/** What the clusters of a region did in a minute, each agent by the seconds that it covers. */
export interface RegionMinute {
  readonly region: string;
  readonly minuteMs: number;
  readonly eventsPerSecond: number;
}

/** Oldest first. Minutes in which nobody of a region reported are not there. */
export async function listRegionMinutes(
  db: Db,
  { scope, selector }: Pick<SummaryWish, "scope" | "selector">,
  since: Date,
): Promise<readonly RegionMinute[]> {
  const { rows } = await db.execute<Record<string, unknown> & RegionMinute>(sql`
    select coalesce(c.labels ->> 'region', '') as region, (extract(epoch from r.minute) * 1000)::float8 as "minuteMs",
      sum(r.events::float8 / r.seconds) as "eventsPerSecond"
    from rates r join clusters c on c.id = r.cluster_id
    where c.retired_at is null and ${labelsIn(scope, "c")} and ${whereLabels(sql`c.labels`, selector)}
      and r.minute >= ${since.toISOString()}::timestamptz and r.seconds > 0
    group by 1, 2 order by 2`);
  return rows;
}
