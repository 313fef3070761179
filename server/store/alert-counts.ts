import type { AlertMatcher } from "../domain/alert-matcher.ts";
import {
  planCount,
  touchedHours,
  type Buckets,
  type CountPlan,
  type SplitPlan,
  type TimeRange,
} from "../domain/alert-stats.ts";
import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import { isWholeFleet } from "../domain/scope.ts";
import { isOfActors, settleActors, splitPlan, type PatternBounds } from "./alert-actors.ts";
import { aboutCluster, factColumns } from "./alert-conditions.ts";
import {
  instant,
  isOneOf,
  microseconds,
  prepareSearch,
  type AlertFilter,
  type FactsRow,
  type Search,
} from "./alerts.ts";
import { sql, type SQL } from "./drizzle.ts";
import { patternsMsMax } from "./pattern-time.ts";
import { isStatementLate, type Db } from "./pool.ts";

export const alertGroupings = ["rule", "priority", "cluster", "region"] as const;
export type AlertGrouping = (typeof alertGroupings)[number];

export interface AlertCount {
  readonly value: string;
  readonly count: bigint;
  readonly lastUs: bigint;
  /** One for each bucket that was asked for. */
  readonly buckets: readonly bigint[];
}

export interface AlertCounts {
  readonly counts: readonly AlertCount[];
  /** Of all values, also those that are left out. */
  readonly total: bigint;
}

/** At most so many values are told apart, the biggest come first; with buckets fewer, because each is a row of them. */
const valuesMax = { plain: 1_000, bucketed: 100 };
/** Sums that Postgres hands over. */
const sumsMax = 200_000;

/** Alerts that are looked at one by one, where no counted hour answers. */
export interface CountBounds extends PatternBounds {
  readonly lookedAtMax: number;
  /** So few are looked at in a blink, sooner than it is known who has counted what. */
  readonly fewAlerts: number;
  /** Rows of hours that were counted by actor. They stand for at least as many alerts: where there are more, these are too many as well. */
  readonly rowsMax: number;
}

export const countBounds: CountBounds = {
  lookedAtMax: 2_000_000,
  fewAlerts: 100_000,
  rowsMax: 2_000_000,
  valuesMs: 1_000,
  sumsMs: patternsMsMax,
};

/** Counts alerts by a value and, with `buckets`, by time. Refuses what would have to look at too many alerts. */
export async function countAlerts(
  db: Db,
  filter: AlertFilter,
  by: AlertGrouping,
  buckets?: Buckets,
  bounds: CountBounds = countBounds,
): Promise<Outcome<AlertCounts>> {
  const search = await prepareSearch(db, filter, bounds.sumsMs);
  if (search === undefined) return accept({ counts: [], total: 0n });
  const asked = { filter, by, bounds, ...(buckets === undefined ? {} : { buckets }) };
  const sums = await sumUp(db, search, asked).catch((error: unknown) => {
    if (isStatementLate(error)) return "late" as const;
    throw error;
  });
  if (sums === "late") return tooMuch("Counting took longer than a statement may");
  if (sums === undefined) return tooMuch(`More than ${bounds.lookedAtMax} alerts would have to be looked at`);
  if (sums.rows.length > sumsMax) {
    return refuse({
      kind: "over-limit",
      why: `More than ${sumsMax} sums: count by something with fewer values, or longer parts of time`,
    });
  }
  return accept(gather(await sums.pick(sums.rows), buckets));
}

function tooMuch(what: string): Outcome<AlertCounts> {
  const why = `${what}: narrow it down by time, rule or cluster, or count by hours`;
  return refuse({ kind: "over-limit", why });
}

interface Sums {
  readonly rows: readonly SumRow[];
  readonly pick: Search["pick"];
}

/** Undefined where too many alerts would have to be looked at. */
async function sumUp(db: Db, search: Search, asked: Asked): Promise<Sums | undefined> {
  return db.transaction(
    async (tx) => {
      await tx.execute(sql.raw(`set local work_mem = '${sumsMemory}'`));
      const way = await findWay(tx, search, asked);
      return way === undefined ? undefined : { rows: await readSums(tx, way, asked), pick: way.search.pick };
    },
    // What was found to be counted is read as it was then.
    { accessMode: "read only", isolationLevel: "repeatable read" },
  );
}

interface Asked {
  readonly filter: AlertFilter;
  readonly by: AlertGrouping;
  readonly bounds: CountBounds;
  readonly buckets?: Buckets;
}

/** Counted hours, and what patterns look at in them. */
interface Hours {
  readonly rows: SQL;
  readonly facts: SQL;
}

/** Where the counts of a search come from. */
interface Way extends SplitPlan {
  readonly search: Search;
  readonly from: Hours;
}

/** The way that looks at few rows; undefined where even these are too many. */
async function findWay(tx: Db, search: Search, asked: Asked): Promise<Way | undefined> {
  const { filter, by, bounds, buckets } = asked;
  const plan = planCount(filter, buckets?.everyMs);
  const isCounted = filter.tags.length === 0 && filter.matchers.every(isOfHours);
  const from = hoursFor(search, by);
  if (isCounted && plan.hours !== undefined) {
    return { search, from, hours: [plan.hours], alerts: plan.alerts };
  }
  const touched = await countTouched(tx, search, filter);
  const settled = touched > bounds.fewAlerts ? await settle(tx, search, asked, plan, touched) : undefined;
  if (settled !== undefined && isOfActorsAlone(search, asked)) return settled;
  if (touched > bounds.lookedAtMax) return undefined;
  const { alerts } = planCount(filter, wholeMs);
  return { search: settled?.search ?? search, from, hours: [], alerts };
}

/** Parts of time that no counted hour answers. */
const wholeMs = 60_000;

const actorHours: Hours = {
  rows: sql`(select *, '' as cluster_id from alert_actor_hours where count > 0)`,
  facts: sql`'', '', '{}'::text[], a.actor, a.fields`,
};

/** Whether hours that were counted by actor know all that is asked for. */
function isOfActorsAlone({ clusterIds }: Search, { filter, by }: Asked): boolean {
  const isOfFleet = clusterIds === undefined && (by === "rule" || by === "priority");
  return isOfFleet && filter.tags.length === 0 && filter.matchers.every(isOfActors);
}

/**
 * The way along hours that were counted by actor, for a question about actors: these know all that is asked for, or else at least the
 * values that its patterns fit, so that these are tried on each value and not with the sums of each.
 */
async function settle(
  tx: Db,
  search: Search,
  asked: Asked,
  plan: CountPlan,
  touched: number,
): Promise<Way | undefined> {
  const { filter, bounds } = asked;
  if (!filter.matchers.some((each) => isOfActors(each) && !isOfHours(each))) return undefined;
  const everybody = {
    ...search,
    clusterIds: undefined,
    untimed: isOneOf(sql`a.rule`, search.rules),
    others: [],
  };
  const isAlone = isOfActorsAlone(search, asked);
  if (!isAlone) {
    // Whether the values of everybody are few enough is nothing that who sees some clusters alone may learn.
    if (!isWholeFleet(filter.scope)) return undefined;
    // The values of everybody are more work than the alerts of a few.
    if (touched > bounds.lookedAtMax || search.rest.length === 0) return undefined;
    if (touched * 4 < (await countTouched(tx, everybody, filter))) return undefined;
  }
  const lookedAtMax = isAlone ? bounds.lookedAtMax : Math.floor(touched / 2);
  const range = { ...touchedHours(filter), rules: search.rules };
  const split = await splitPlan(tx, range, plan, { ...bounds, lookedAtMax });
  if (split === undefined) return undefined;
  const rows = counted({ ...split, search: everybody, from: actorHours });
  const settled = await settleActors(tx, search, rows, bounds);
  return settled === undefined ? undefined : { ...split, search: settled, from: actorHours };
}

/** Whether counted hours know what a matcher looks at. */
function isOfHours(matcher: AlertMatcher): boolean {
  return aboutCluster(matcher) || matcher.name === "rule" || matcher.name === "priority";
}

type SumRow = FactsRow & { value: string; bucket: number; count: string; last: string };

/** Memory for the sums of one statement; a thousand clusters by hour of a day take 6 MiB. */
const sumsMemory = "32MB";

/** Sums are made by what the rows hold, and only the sums, which are few, are told the names of their clusters and buckets. */
async function readSums(tx: Db, way: Way, { by, buckets }: Asked): Promise<readonly SumRow[]> {
  const key = {
    rule: sql`a.rule`,
    priority: sql`a.priority`,
    cluster: sql`a.cluster_id`,
    region: sql`a.cluster_id`,
  }[by];
  const value = {
    rule: sql`a.key`,
    priority: sql`a.key::text`,
    cluster: sql`c.name`,
    region: sql`c.labels ->> 'region'`,
  }[by];
  const ofCluster = by === "cluster" || by === "region" ? sql`join clusters c on c.id = a.key` : sql``;
  const stretch =
    buckets === undefined
      ? sql`timestamptz 'epoch'`
      : sql`date_bin(${buckets.everyMs}::bigint * interval '1 millisecond', a.time, timestamptz 'epoch')`;
  const bucket =
    buckets === undefined
      ? sql`0`
      : sql`((${microseconds(sql`a.stretch`)} / 1000 - ${buckets.firstMs}::bigint) / ${buckets.everyMs}::bigint)::int`;
  // The same names and expressions hold for alerts and for sums of them.
  const facts = factColumns(way.search.rest);
  const places = sql.raw([key, stretch, ...facts].map((_, i) => `${i + 1}`).join(", "));
  const columns = sql.join([sql`${key} as key`, sql`${stretch} as stretch`, ...facts], sql`, `);
  const shown = sql.join([sql`${value} as value`, sql`${bucket} as bucket`, ...facts], sql`, `);
  const { rows } = await tx.execute<SumRow>(sql`
    select ${shown}, sum(a.count)::bigint as count, ${microseconds(sql`max(a.last_at)`)} as last
    from (
      select ${columns}, sum(a.count)::bigint as count, max(a.last_at) as last_at
      from (${counted(way)}) a group by ${places}
    ) a ${ofCluster} group by ${places} limit ${sumsMax + 1}`);
  return rows;
}

/** Rows with a count: whole hours as they were counted, and each alert of the rest as one. */
function counted({ search, from, hours, alerts }: Way): SQL {
  const where = (time: SQL, range: TimeRange) => {
    const terms = [search.untimed, ...search.others];
    if (range.fromUs !== undefined) terms.push(sql`${time} >= ${instant(sql`${range.fromUs}::bigint`)}`);
    if (range.toUs !== undefined) terms.push(sql`${time} < ${instant(sql`${range.toUs}::bigint`)}`);
    return sql.join(terms, sql` and `);
  };
  const facts = search.rest.length === 0 ? sql`` : sql`, a.source, a.output, a.tags, a.actor, a.fields`;
  const ofAlerts = alerts.map(
    (range) =>
      sql`select a.time, a.cluster_id, a.rule, a.priority, 1 as count, a.time as last_at${facts}
      from alerts a where ${where(sql`a.time`, range)}`,
  );
  // Hours are asked for patterns on what they know alone.
  const ofFacts = search.rest.length === 0 ? sql`` : sql`, ${from.facts}`;
  const ofHours = hours.map(
    (range) =>
      sql`select a.hour as time, a.cluster_id, a.rule, a.priority, a.count, a.last_at${ofFacts}
      from ${from.rows} a where ${where(sql`a.hour`, range)}`,
  );
  return sql.join(
    [...ofHours, ...ofAlerts].map((part) => sql`(${part})`),
    sql` union all `,
  );
}

/** How many alerts lie in the hours that the range touches, with some of what is asked for: as many as are looked at, or more. */
async function countTouched(db: Db, search: Search, filter: AlertFilter): Promise<number> {
  const { fromUs, toUs } = touchedHours(filter);
  const terms = [search.untimed];
  if (fromUs !== undefined) terms.push(sql`a.hour >= ${instant(sql`${fromUs}::bigint`)}`);
  if (toUs !== undefined) terms.push(sql`a.hour < ${instant(sql`${toUs}::bigint`)}`);
  const { rows } = await db.execute<{ sum: string }>(
    sql`select coalesce(sum(a.count), 0) as sum from ${hoursFor(search).rows} a where ${sql.join(terms, sql` and `)}`,
  );
  return Number(rows[0]?.sum ?? 0);
}

/** Where the counted hours lie that know what a search asks for, as few of them as there are. */
function hoursFor({ clusterIds, rules, others, rest }: Search, by?: AlertGrouping): Hours {
  const facts = sql`'', '', '{}'::text[], '', '{}'::jsonb`;
  const namesNoRule = rules === undefined && (by === undefined || (others.length === 0 && rest.length === 0));
  if (namesNoRule && by !== "rule" && by !== "priority") {
    return { rows: sql`(select * from alert_totals where rule = '')`, facts };
  }
  if (clusterIds === undefined && by !== "cluster" && by !== "region") {
    return { rows: sql`(select * from alert_totals where cluster_id = '')`, facts };
  }
  return { rows: sql`alert_hours`, facts };
}

function gather(rows: readonly SumRow[], buckets: Buckets | undefined): AlertCounts {
  const sums = new Map<string, { value: string; count: bigint; lastUs: bigint; buckets: bigint[] }>();
  for (const row of rows) {
    const { value, bucket } = row;
    const sum = sums.get(value) ?? {
      value,
      count: 0n,
      lastUs: 0n,
      buckets: Array.from({ length: buckets?.count ?? 0 }, () => 0n),
    };
    const [count, last] = [BigInt(row.count), BigInt(row.last)];
    sum.count += count;
    if (last > sum.lastUs) sum.lastUs = last;
    if (bucket >= 0 && bucket < sum.buckets.length) sum.buckets[bucket] = (sum.buckets[bucket] ?? 0n) + count;
    sums.set(value, sum);
  }
  const most = buckets === undefined ? valuesMax.plain : valuesMax.bucketed;
  const all = [...sums.values()];
  return {
    counts: all.toSorted(biggestFirst).slice(0, most),
    total: all.reduce((total, { count }) => total + count, 0n),
  };
}

function biggestFirst(one: AlertCount, other: AlertCount): number {
  if (one.count !== other.count) return one.count > other.count ? -1 : 1;
  return one.value < other.value ? -1 : 1;
}
