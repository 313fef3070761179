import { actorFields } from "../domain/alert-fields.ts";
import { compileMatchers, subjectOf, type AlertMatcher } from "../domain/alert-matcher.ts";
import { withoutHours, type CountPlan, type SplitPlan, type TimeRange } from "../domain/alert-stats.ts";
import type { HourRange } from "./alert-totals.ts";
import { instant, isOneOf, microseconds, noFacts, picking, type Search } from "./alerts.ts";
import { param } from "./assignments.ts";
import { sql, type SQL } from "./drizzle.ts";
import { createPatternTime, PatternsTooSlow, type PatternTime } from "./pattern-time.ts";
import type { Database, Db } from "./pool.ts";

/** Hours that one call counts. */
const hoursMax = 24;

/** What an hour may have to be counted by actor. */
export interface HourBounds {
  /** An hour of more alerts takes longer than a statement may. */
  readonly alerts: number;
  /** An hour with more rows, or more text in them, is not kept: its alerts are read. */
  readonly rows: number;
  readonly bytes: number;
}

const hourBounds: HourBounds = { alerts: 500_000, rows: 50_000, bytes: 16 * 1024 * 1024 };

/** Whether counted actors know what a matcher looks at, apart from the cluster. */
export function isOfActors({ name }: AlertMatcher): boolean {
  return ["rule", "priority", "actor"].includes(name) || actorFields.includes(name);
}

/** What became of the hours that were to be counted by actor. */
export interface CountedHours {
  readonly counted: number;
  /** Those that have too many rows. They are marked and never tried again. */
  readonly refused: readonly string[];
  /** Why others could not be counted, each with its hour; they are tried again. */
  readonly failures: readonly Error[];
}

/**
 * Counts by actor what happened in whole hours, the newest first, where more or fewer alerts were counted than there are now. An hour that
 * fails, because it takes too long, keeps no other from being counted. One server counts at a time; the others find nothing to do.
 */
export async function countActors(
  db: Database,
  { from, to }: HourRange,
  bounds: HourBounds = hourBounds,
): Promise<CountedHours> {
  const since = from === undefined ? sql`true` : sql`hour >= ${from.toISOString()}::timestamptz`;
  const { rows } = await db.execute<{ hour: string }>(sql`
    select hour::text from (${uncounted(sql`${since} and hour < ${to.toISOString()}::timestamptz`, bounds)}) hours
    order by hour desc limit ${hoursMax}`);
  const [refused, failures]: [string[], Error[]] = [[], []];
  let counted = 0;
  for (const { hour } of rows) {
    try {
      const fate = await countHour(db, hour, bounds);
      if (fate === "counted") counted += 1;
      if (fate === "refused") refused.push(hour);
    } catch (cause) {
      failures.push(new Error(`Alerts of the hour from ${hour} could not be counted by actor`, { cause }));
    }
  }
  return { counted, refused, failures };
}

/**
 * Hours whose rows count other alerts than their totals do. Not those that were refused, which a row says that counts nothing: they never
 * count what their totals do, so nobody reads them, and alerts that come late make them no smaller.
 */
function uncounted(within: SQL, { alerts }: HourBounds): SQL {
  return sql`
    select hour from (
      select hour, sum(count) as total, 0 as counted, false as "isRefused" from alert_totals
      where cluster_id = '' and ${within} group by hour
      union all
      select hour, 0, sum(count), bool_or(count = 0) from alert_actor_hours where ${within} group by hour
    ) sums group by hour having sum(total) <> sum(counted) and sum(total) <= ${alerts} and not bool_or("isRefused")`;
}

async function countHour(
  db: Database,
  hour: string,
  bounds: HourBounds,
): Promise<"counted" | "refused" | "left"> {
  return db.transaction(async (tx) => {
    // Of its own: who makes partitions waits for no count.
    const { rows } = await tx.execute<{ ours: boolean }>(
      sql`select pg_try_advisory_xact_lock(hashtext('falconry actor hours')) as ours`,
    );
    if (rows[0]?.ours !== true) return "left";
    const at = sql`${hour}::timestamptz`;
    // Another server may have counted it since it was found.
    const found = await tx.execute(uncounted(sql`hour = ${at}`, bounds));
    if (found.rows.length === 0) return "left";
    const pairs = sql.join(
      actorFields.map((name) => sql`${name}::text, a.fields -> ${name}`),
      sql`, `,
    );
    await tx.execute(sql.raw("set local work_mem = '32MB'"));
    await tx.execute(sql`delete from alert_actor_hours where hour = ${at}`);
    const made = await tx.execute<{ rows: number; isRefused: boolean }>(sql`
      with sums as materialized (
        select a.rule, a.priority, a.actor, jsonb_strip_nulls(jsonb_build_object(${pairs})) as fields, count(*) as count,
          max(a.time) as last_at, max(a.received_at) as received_at
        from alerts a where a.time >= ${at} and a.time < ${at} + interval '1 hour' group by 1, 2, 3, 4 limit ${bounds.rows + 1}
      ), sizes as (
        select count(*) as rows, coalesce(sum(octet_length(rule) + octet_length(actor) + octet_length(fields::text)), 0) as bytes from sums
      ), size as (
        select rows, rows > ${bounds.rows} or bytes > ${bounds.bytes} as "isRefused" from sizes
      ), made as (
        insert into alert_actor_hours (hour, number, rule, priority, actor, fields, count, last_at, received_at)
        select ${at}, row_number() over (), s.rule, s.priority, s.actor, s.fields, s.count, s.last_at, s.received_at from sums s, size
        where not size."isRefused"
        union all
        select ${at}, 0, '', 0, '', '{}', 0, ${at}, now() from size where size."isRefused"
      )
      select rows::int, "isRefused" from size`);
    const [size] = made.rows;
    if (size?.isRefused === true) return "refused";
    return (size?.rows ?? 0) > 0 ? "counted" : "left";
  });
}

/** Ranges of alerts that are read beside counted hours. */
const rangesMax = 16;

/** Rows that are read: alerts of hours that are not whole, and rows of hours that were counted by actor. */
export interface SplitBounds {
  readonly lookedAtMax: number;
  readonly rowsMax: number;
}

/**
 * Takes those hours out of a plan that are not whole as they were counted by actor: these are read from the alerts. Undefined when they lie
 * in too many places, or more is to be read than the bounds say.
 */
export async function splitPlan(
  db: Db,
  { fromUs, toUs, rules }: TimeRange & Pick<Search, "rules">,
  plan: CountPlan,
  { lookedAtMax, rowsMax }: SplitBounds,
): Promise<SplitPlan | undefined> {
  if (plan.hours === undefined) return undefined;
  const terms = [isOneOf(sql`rule`, rules)];
  if (fromUs !== undefined) terms.push(sql`hour >= ${instant(sql`${fromUs}::bigint`)}`);
  if (toUs !== undefined) terms.push(sql`hour < ${instant(sql`${toUs}::bigint`)}`);
  const asked = sql.join(terms, sql` and `);
  const { rows } = await db.execute<{ us: string; total: string; counted: string; rows: string }>(sql`
    select ${microseconds(sql`hour`)} as us, sum(total)::bigint as total, sum(counted)::bigint as counted, sum(rows)::bigint as rows
    from (
      select hour, sum(count) as total, 0 as counted, 0 as rows from alert_totals where cluster_id = '' and ${asked} group by hour
      union all
      select hour, 0, sum(count), count(*)
      from (select hour, count from alert_actor_hours where ${asked} limit ${rowsMax + 1}) h group by hour
    ) sums group by hour`);
  // Where there are more, the sums are not of all.
  if (rows.reduce((sum, each) => sum + Number(each.rows), 0) > rowsMax) return undefined;
  const split = withoutHours(
    plan,
    rows.filter(({ total, counted }) => total !== counted).map(({ us }) => BigInt(us)),
  );
  const isRead = (us: bigint) =>
    split.alerts.some((range) => (range.fromUs ?? us) < us + hourUs && us < (range.toUs ?? us + 1n));
  const read = rows.reduce((sum, { us, total }) => sum + (isRead(BigInt(us)) ? Number(total) : 0), 0);
  return split.alerts.length > rangesMax || read > lookedAtMax ? undefined : split;
}

const hourUs = 3_600_000_000n;

/**
 * Milliseconds after which patterns end that are tried on values, although others had turns meanwhile: the transaction that waits for them
 * may say nothing for ten seconds.
 */
const valuesEndMs = 5_000;

/** Values of actors and their fields that patterns are tried on, of all that are asked for together. */
const valuesMax = { count: 50_000, bytes: 4 * 1024 * 1024 };

/** What patterns are tried on, and which. */
interface Column {
  readonly name: string;
  readonly isField: boolean;
  /** Of rows called `a`. */
  readonly column: SQL;
  readonly matchers: readonly AlertMatcher[];
}

/**
 * Tries patterns of actors on each value that there is, and has the database look for those that they fit: the same alerts are met.
 * `rows`, called `a`, have at least the values of what is searched. Undefined when there are too many values, or trying them takes longer
 * than it may.
 */
export async function settleActors(
  db: Db,
  search: Search,
  rows: SQL,
  { valuesMs, sumsMs }: PatternBounds,
): Promise<Search | undefined> {
  const isSettled = (matcher: AlertMatcher) => isOfActors(matcher) && matcher.name !== "rule";
  const named = Map.groupBy(search.rest.filter(isSettled), ({ name }) => name);
  const columns = [...named].map(([name, matchers]): Column => {
    const isField = subjectOf(name).kind === "field";
    return {
      name,
      isField,
      column: isField ? sql`coalesce(a.fields -> ${name}, 'null')` : sql`a.actor`,
      matchers,
    };
  });
  const values = await readValues(db, columns, rows);
  if (values === undefined) return undefined;
  const time = createPatternTime(valuesMs, valuesEndMs);
  const others = [...search.others];
  for (const [i, each] of columns.entries()) {
    const met = await fitting(each, values[i] ?? [], time).catch((error: unknown) => {
      if (error instanceof PatternsTooSlow) return undefined;
      throw error;
    });
    if (met === undefined) return undefined;
    others.push(sql`${each.column} = any(${param(met)}::${sql.raw(each.isField ? "jsonb" : "text")}[])`);
  }
  const rest = search.rest.filter((matcher) => !isSettled(matcher));
  return { ...search, others, rest, ...picking(rest, createPatternTime(sumsMs)) };
}

/** What patterns of a question about actors may take. */
export interface PatternBounds {
  /** Milliseconds for the values of actors: they are tried in the snapshot in which they were read, which holds a connection. */
  readonly valuesMs: number;
  /** Milliseconds for what is left to be tried on sums. */
  readonly sumsMs: number;
}

/** Those values that all patterns of a column fit. Values of fields are JSON. Throws `PatternsTooSlow`. */
function fitting(
  { name, isField, matchers }: Column,
  values: readonly string[],
  time: PatternTime,
): Promise<readonly string[]> {
  const test = compileMatchers(matchers);
  return time.pick(values, (value) => {
    const facts = isField ? { fields: { [name]: JSON.parse(value) as unknown } } : { actor: value };
    return test({ ...noFacts, ...facts });
  });
}

/** The different values of each column, all read at once; undefined when there are too many. */
async function readValues(
  db: Db,
  columns: readonly Column[],
  rows: SQL,
): Promise<readonly (readonly string[])[] | undefined> {
  if (columns.length === 0) return [];
  const name = (i: number) => sql.raw(`v${i}`);
  const each = (say: (at: SQL, i: number) => SQL) => columns.map((_, i) => say(name(i), i));
  const shown = sql.join(
    columns.map(({ column }, i) => sql`${column} as ${name(i)}`),
    sql`, `,
  );
  const sets = sql.join(
    each((at) => sql`(${at})`),
    sql`, `,
  );
  const place = sql.join(
    each((at, i) => sql`when grouping(${at}) = 0 then ${sql.raw(`${i}`)}`),
    sql` `,
  );
  const value = sql.join(
    each((at) => sql`when grouping(${at}) = 0 then ${at}::text`),
    sql` `,
  );
  const found = await db.execute<{ isAll: boolean; place: number | null; value: string | null }>(sql`
    with found as materialized (
      select case ${place} end as place, case ${value} end as value from (select ${shown} from (${rows}) a) a
      group by grouping sets (${sets}) limit ${valuesMax.count + 1}
    ),
    size as (
      select count(*) <= ${valuesMax.count} and coalesce(sum(octet_length(value)), 0) <= ${valuesMax.bytes} as "isAll" from found
    )
    select size."isAll", found.place, found.value from size left join found on size."isAll"`);
  if (found.rows[0]?.isAll !== true) return undefined;
  const values = columns.map((): string[] => []);
  for (const row of found.rows) if (row.value !== null) values[row.place ?? 0]?.push(row.value);
  return values;
}
