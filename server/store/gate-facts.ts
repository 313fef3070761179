import { sql, type SQL } from "./drizzle.ts";

import { sliceMinutes, slices, type Minute, type RuleCount } from "../domain/gates/facts.ts";
import type { Rollout } from "../domain/rollout.ts";
import { param } from "./assignments.ts";
import type { Db } from "./pool.ts";
import { isFlapping, isFresh } from "./suspicions.ts";

/** A time of a cluster to look at. */
export interface Window {
  readonly clusterId: string;
  /** Whether the bundle runs in it, or it is the time before. */
  readonly is: "past" | "now";
  readonly fromMs: number;
  readonly toMs: number;
}

export type ByCluster<T> = ReadonlyMap<string, { readonly past: readonly T[]; readonly now: readonly T[] }>;

/** A minute counts when so much of it is covered; agents look every few seconds, and one that started in it says too little. */
const secondsMin = 45;

/**
 * The whole minutes of some windows, with the counters of each cluster's agents added up. Reads by
 * `rates_by_cluster`, so it costs what the windows hold and not what the table does.
 */
export async function readMinutes(db: Db, windows: readonly Window[]): Promise<ByCluster<Minute>> {
  if (windows.length === 0) return new Map();
  const { rows } = await db.execute<MinuteRow>(sql`
    select w.cluster_id as "clusterId", w."is", r.minute, sum(r.events)::float8 as events, sum(r.alerts)::float8 as alerts,
      sum(r.dropped + r.parked)::float8 as lost, max(r.lag_ms)::float8 as "lagMs",
      sum(r.detection_us)::float8 as "detectionUs"
    from ${windowsOf(windows)}
    join rates r on r.cluster_id = w.cluster_id and r.minute >= w.from_at and r.minute < w.to_at
      and ${within(sql`r.minute`, windows)} and r.seconds >= ${secondsMin}
    group by 1, 2, 3 order by 1, 2, 3`);
  return folded(rows, ({ clusterId: _id, is: _is, minute: _at, ...minute }) => minute);
}

/** When other rollouts of the kind last gave clusters a bundle, or took one back, before this one gave them its own. */
export async function readPreviousTimes(
  db: Db,
  { id, spec: { kind } }: Rollout,
  ids: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  if (ids.length === 0) return new Map();
  const { rows } = await db.execute<{ id: string; atMs: number }>(sql`
    select own.cluster_id as id, (extract(epoch from max(rc.assigned_at)) * 1000)::float8 as "atMs"
    from rollout_clusters own join rollout_clusters rc on rc.cluster_id = own.cluster_id
      and rc.rollout_id <> own.rollout_id and rc.assigned_at < own.assigned_at
    join rollouts r on r.id = rc.rollout_id and r.kind = ${kind}
    where own.rollout_id = ${id} and own.cluster_id = any(${param(ids)}::text[])
    group by own.cluster_id`);
  return new Map(rows.map(({ id: of, atMs }) => [of, atMs]));
}

/** Of which minute the first rates are that clusters ever sent, as far as rates are kept. By `rates_by_cluster`. */
export async function readFirstMinutes(db: Db, ids: readonly string[]): Promise<ReadonlyMap<string, number>> {
  if (ids.length === 0) return new Map();
  const { rows } = await db.execute<{ id: string; firstMs: number | null }>(sql`
    select x.id, (select (extract(epoch from min(r.minute)) * 1000)::float8 from rates r where r.cluster_id = x.id) as "firstMs"
    from unnest(${param(ids)}::text[]) as x (id)`);
  return new Map(rows.flatMap(({ id, firstMs }) => (firstMs === null ? [] : [[id, firstMs] as const])));
}

interface MinuteRow extends Record<string, unknown>, Minute {
  readonly clusterId: string;
  readonly is: Window["is"];
  readonly minute: Date;
}

/** Of one cluster and window so many alerts are counted; more than these mean that nothing can be compared. */
export const countedAlertsMax = 20_000;
/** Of one cluster the rules that fire most; an agent may make names up. */
const rulesMax = 300;

export interface AlertCounts {
  readonly rules: readonly RuleCount[];
  /** More alerts than are counted. */
  readonly isTooLoud: boolean;
}

/** The alerts of some windows by cluster and rule, newest first up to a bound. Reads by the primary key, which begins with the cluster. */
export async function countAlertsByRule(
  db: Db,
  windows: readonly Window[],
): Promise<ReadonlyMap<string, AlertCounts>> {
  if (windows.length === 0) return new Map();
  const counts = Array.from(
    { length: slices },
    (_, i) => sql`count(*) filter (where x.slice = ${i}::int)::int`,
  );
  const { rows } = await db.execute<AlertRow>(sql`
    select w.cluster_id as "clusterId", w."is", a.rule, a.counts, a.count, a.total
    from ${windowsOf(windows)} cross join lateral (
      select x.rule, array[${sql.join(counts, sql`, `)}] as counts, count(*)::int as count,
        (sum(count(*)) over ())::int as total
      from (
        select rule, floor(extract(epoch from w.to_at - time) / ${sliceMinutes * 60})::int as slice
        from alerts where cluster_id = w.cluster_id and time >= w.from_at and time < w.to_at
          and ${within(sql`time`, windows)}
        order by time desc limit ${countedAlertsMax + 1}
      ) x group by x.rule order by count(*) desc limit ${rulesMax}
    ) a`);
  return new Map([...Map.groupBy(rows, (row) => row.clusterId)].map(([id, those]) => [id, countsOf(those)]));
}

interface AlertRow extends Record<string, unknown> {
  readonly clusterId: string;
  readonly is: Window["is"];
  readonly rule: string;
  readonly counts: readonly number[];
  readonly count: number;
  readonly total: number;
}

function countsOf(rows: readonly AlertRow[]): AlertCounts {
  const find = (is: Window["is"], rule: string) => rows.find((row) => row.is === is && row.rule === rule);
  const names = [...new Set(rows.map(({ rule }) => rule))];
  const none = Array.from({ length: slices }, () => 0);
  return {
    rules: names.map((rule) => ({
      rule,
      past: find("past", rule)?.counts ?? none,
      now: find("now", rule)?.count ?? 0,
    })),
    isTooLoud: rows.some(({ total }) => total > countedAlertsMax),
  };
}

/** Clusters that keep what they have: those of later waves, and those outside, heard of and unchanged for long enough. */
export async function listHoldOut(
  db: Db,
  { id, spec: { kind } }: Rollout,
  sinceMs: number,
  now: Date,
  size: number,
): Promise<readonly string[]> {
  // Rules are what layers are put on: clusters that have none raise no alert to compare with.
  const digest = sql.identifier(kind === "shipper" ? "shipper_digest" : "rules_digest");
  const { rows } = await db.execute<{ id: string }>(sql`
    select c.id from clusters c join assignments a on a.cluster_id = c.id
    left join rollout_clusters rc on rc.rollout_id = ${id} and rc.cluster_id = c.id
    where c.retired_at is null and a.${digest} is not null and a.changed_at < ${instant(sinceMs)}
      and (rc.state is null or rc.state = 'waiting')
      and exists (select 1 from agents g where g.cluster_id = c.id and g.revoked_at is null
        and g.last_seen_at > ${instant(now.getTime() - 120_000)})
    -- Which of many are taken nobody can foresee, and every server takes the same.
    order by md5(c.id || ${id}) limit ${size}`);
  return rows.map((row) => row.id);
}

/** The share of the clusters that are heard of and do not have the bundle, in which an agent flaps; 0 where there is none. */
export async function readFlappingOutside(db: Db, { id }: Rollout, now: Date): Promise<number> {
  const { rows } = await db.execute<{ share: number }>(sql`
    select coalesce(avg(x.flaps::int), 0)::float8 as share from (
      select bool_or(exists (select 1 from jsonb_array_elements(g.suspicions) e where ${isFlapping} and ${isFresh(now)})) as flaps
      from agents g join clusters c on c.id = g.cluster_id
      left join rollout_clusters rc on rc.rollout_id = ${id} and rc.cluster_id = c.id
      where c.retired_at is null and g.revoked_at is null and (rc.state is null or rc.state = 'waiting')
        and g.last_seen_at > ${instant(now.getTime() - 120_000)}
      group by c.id
    ) x`);
  return rows[0]?.share ?? 0;
}

function windowsOf(windows: readonly Window[]): SQL {
  const at = (of: (window: Window) => number) =>
    sql`${param(windows.map((window) => new Date(of(window)).toISOString()))}::timestamptz[]`;
  return sql`unnest(
    ${param(windows.map((window) => window.clusterId))}::text[], ${param(windows.map((window) => window.is))}::text[],
    ${at((window) => window.fromMs)}, ${at((window) => window.toMs)}) as w (cluster_id, "is", from_at, to_at)`;
}

/** The same bound over all windows, as constants: it tells the planner which days it needs at all. */
function within(column: SQL, windows: readonly Window[]): SQL {
  const from = Math.min(...windows.map((window) => window.fromMs));
  const to = Math.max(...windows.map((window) => window.toMs));
  return sql`${column} >= ${instant(from)} and ${column} < ${instant(to)}`;
}

function instant(ms: number): SQL {
  return sql`${new Date(ms).toISOString()}::timestamptz`;
}

function folded<R extends { readonly clusterId: string; readonly is: Window["is"] }, T>(
  rows: readonly R[],
  of: (row: R) => T,
): ByCluster<T> {
  return new Map(
    [...Map.groupBy(rows, (row) => row.clusterId)].map(([id, those]) => [
      id,
      {
        past: those.filter(({ is }) => is === "past").map(of),
        now: those.filter(({ is }) => is === "now").map(of),
      },
    ]),
  );
}
