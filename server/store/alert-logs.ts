import type { Scope } from "../domain/scope.ts";
import { param } from "./assignments.ts";
import { sql, type SQL } from "./drizzle.ts";
import type { Database, Db } from "./pool.ts";
import type { Labels } from "./schema.ts";
import { labelsIn } from "./scopes.ts";

/** Alerts read as lines of a log: what the Loki API asks of the store. Times are microseconds since 1970. */
export interface LogChoice {
  /** Of somebody's scope; undefined for every cluster that there is. */
  readonly clusterIds: readonly string[] | undefined;
  /** Undefined for all. */
  readonly rules: readonly string[] | undefined;
  readonly priorities: readonly number[] | undefined;
  /** Of each list, one text has to be in the line. */
  readonly contains: readonly (readonly string[])[];
  /** None of these may be in it. */
  readonly lacks: readonly string[];
  readonly fromUs: bigint;
  /** Not included. */
  readonly toUs: bigint;
  readonly arrivalMax?: bigint;
}

export interface LogCluster {
  readonly id: string;
  readonly labels: Labels;
}

export interface LogLine {
  readonly id: string;
  readonly timeUs: bigint;
  readonly arrival: bigint;
  readonly clusterId: string;
  readonly rule: string;
  readonly priority: number;
  readonly body: string;
}

/** Where a batch of lines ended. */
export type LogPlace = Pick<LogLine, "timeUs" | "id" | "clusterId">;

/** Longer than this no statement of a query runs. */
const statementMs = 10_000;

/** Reads for one query: nothing is changed, and no statement takes longer than 10 s. */
export async function readOnly<T>(db: Database, read: (tx: Db) => Promise<T>): Promise<T> {
  return db.transaction(
    async (tx) => {
      await tx.execute(sql.raw(`set local statement_timeout = ${statementMs}`));
      return read(tx);
    },
    { accessMode: "read only" },
  );
}

/** The clusters of a scope, also those that are retired: their alerts stay. */
export async function listLogClusters(db: Db, scope: Scope): Promise<readonly LogCluster[]> {
  const { rows } = await db.execute<{ id: string; labels: Labels }>(
    sql`select c.id, c.labels from clusters c where ${labelsIn(scope, "c")}`,
  );
  return rows;
}

/**
 * The names of rules that have alerts, at most `max`. Jumps from name to name in the index, so that it costs a look per rule and
 * not per alert.
 */
export async function listLogRules(db: Db, max: number): Promise<readonly string[]> {
  const { rows } = await db.execute<{ rule: string }>(sql`
    with recursive names (rule) as (
      (select a.rule from alerts a order by a.rule limit 1)
      union all
      select (select a.rule from alerts a where a.rule > names.rule order by a.rule limit 1)
      from names where names.rule is not null
    )
    select rule from names where rule is not null limit ${max}`);
  return rows.map(({ rule }) => rule);
}

/** What counts are kept apart by, and whether bytes are counted, too: that reads every line, the rest does not. */
export interface CountBy {
  readonly cluster: boolean;
  readonly rule: boolean;
  readonly priority: boolean;
  readonly bytes: boolean;
}

/** The time is cut into buckets: number `i` is what came after `fromUs + i * widthUs`, up to and with the end of it. */
export interface Buckets {
  readonly fromUs: bigint;
  readonly widthUs: bigint;
}

export interface LogCount {
  readonly bucket: number;
  /** Empty when it is not counted by it; the same holds for the rule, and -1 stands for the priority. */
  readonly clusterId: string;
  readonly rule: string;
  readonly priority: number;
  readonly count: number;
  /** 0 when they are not counted. */
  readonly bytes: number;
}

/** At most `max` counts, in no order. */
export async function countLogs(
  db: Db,
  choice: LogChoice,
  { fromUs, widthUs }: Buckets,
  by: CountBy,
  max: number,
): Promise<readonly LogCount[]> {
  // Bins have their beginning and not their end, and times are whole microseconds. Arithmetic with numbers takes twice as long.
  const origin = instant(fromUs + 1n);
  const { rows } = await db.execute<Record<Exclude<keyof LogCount, "bucket"> | "us", string>>(sql`
    select ${microseconds(sql`x.bin`)} as us, x.*
    from (
      select date_bin(${widthUs}::bigint * interval '1 microsecond', a.time, ${origin}) as bin,
        ${by.cluster ? sql`a.cluster_id` : sql`''`} as "clusterId",
        ${by.rule ? sql`a.rule` : sql`''`} as rule,
        ${by.priority ? sql`a.priority` : sql`-1`} as priority,
        count(*) as count, ${by.bytes ? sql`sum(octet_length(a.body))` : sql`0`} as bytes
      from alerts a where ${matches(choice)} group by 1, 2, 3, 4 limit ${max}
    ) x`);
  return rows.map((row) => ({
    bucket: Number((BigInt(row.us) - fromUs - 1n) / widthUs),
    clusterId: row.clusterId,
    rule: row.rule,
    priority: Number(row.priority),
    count: Number(row.count),
    bytes: Number(row.bytes),
  }));
}

/** Lines in the order of time, from the one end or the other. */
export async function readLogs(
  db: Db,
  choice: LogChoice,
  direction: "forward" | "backward",
  size: number,
  after?: LogPlace,
): Promise<readonly LogLine[]> {
  const isForward = direction === "forward";
  const beyond =
    after === undefined
      ? sql`true`
      : sql`(a.time, a.id, a.cluster_id) ${isForward ? sql`>` : sql`<`} (${instant(after.timeUs)}, ${after.id}, ${after.clusterId})`;
  const order = isForward ? sql`a.time, a.id, a.cluster_id` : sql`a.time desc, a.id desc, a.cluster_id desc`;
  return linesOf(db, sql`${matches(choice)} and ${beyond} order by ${order} limit ${size}`);
}

/** Lines that arrived behind a place, in the order of arrival, whatever their own time is. */
export async function readLogArrivals(
  db: Db,
  choice: Omit<LogChoice, "fromUs" | "toUs">,
  after: bigint,
  size: number,
): Promise<readonly LogLine[]> {
  return linesOf(db, sql`${chosen(choice)} and a.arrival > ${after} order by a.arrival limit ${size}`);
}

async function linesOf(db: Db, where: SQL): Promise<readonly LogLine[]> {
  const { rows } = await db.execute<
    Omit<LogLine, "timeUs" | "arrival"> & { timeUs: string; arrival: string } & Record<string, unknown>
  >(sql`
    select a.id, ${microseconds(sql`a.time`)} as "timeUs", a.arrival, a.cluster_id as "clusterId", a.rule, a.priority, a.body
    from alerts a where ${where}`);
  return rows.map((row) => ({ ...row, timeUs: BigInt(row.timeUs), arrival: BigInt(row.arrival) }));
}

function matches(choice: LogChoice): SQL {
  const arrived = choice.arrivalMax === undefined ? sql`true` : sql`a.arrival <= ${choice.arrivalMax}`;
  return sql`${chosen(choice)} and ${arrived} and a.time >= ${instant(choice.fromUs)} and a.time < ${instant(choice.toUs)}`;
}

function chosen({ clusterIds, rules, priorities, contains, lacks }: Omit<LogChoice, "fromUs" | "toUs">): SQL {
  const terms = [sql`true`];
  if (clusterIds !== undefined) terms.push(sql`a.cluster_id = any(${param(clusterIds)}::text[])`);
  if (rules !== undefined) terms.push(sql`a.rule = any(${param(rules)}::text[])`);
  if (priorities !== undefined) terms.push(sql`a.priority = any(${param(priorities)}::smallint[])`);
  for (const texts of contains) {
    const each = texts.map((text) => sql`strpos(a.body, ${text}) > 0`);
    terms.push(sql`(${sql.join(each, sql` or `)})`);
  }
  for (const text of lacks) terms.push(sql`strpos(a.body, ${text}) = 0`);
  return sql.join(terms, sql` and `);
}

function microseconds(time: SQL): SQL {
  return sql`(extract(epoch from ${time}) * 1000000)::bigint`;
}

// Through an interval, because a double of seconds since 1970 does not hold microseconds.
function instant(us: bigint): SQL {
  return sql`(timestamptz 'epoch' + ${us}::bigint * interval '1 microsecond')`;
}
