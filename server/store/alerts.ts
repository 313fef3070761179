import { compileMatchers, type AlertFacts, type AlertMatcher } from "../domain/alert-matcher.ts";
import type { Scope } from "../domain/scope.ts";
import type { Selector } from "../domain/selector.ts";
import { aboutCluster, factColumns, splitMatchers } from "./alert-conditions.ts";
import type { AlertRow } from "./alert-intake.ts";
import { param } from "./assignments.ts";
import { sql, type SQL } from "./drizzle.ts";
import { createPatternTime, patternsMsMax, type Picked, type PatternTime } from "./pattern-time.ts";
import type { Db } from "./pool.ts";
import type { Labels } from "./schema.ts";
import { labelsIn } from "./scopes.ts";
import { whereLabels } from "./selectors.ts";

/** An alert as it is read, with the cluster's name and what the store knows of its arrival. */
export interface StoredAlert extends AlertRow {
  readonly clusterName: string;
  readonly receivedUs: bigint;
  readonly arrival: bigint;
  readonly silenceId: string;
}

/** All conditions that are set must hold. */
export interface AlertFilter {
  /** The clusters that exist for whoever asks. */
  readonly scope: Scope;
  readonly selector: Selector;
  readonly rules: readonly string[];
  /** One of them is enough. */
  readonly tags: readonly string[];
  /** The least severe priority wanted, as a number. */
  readonly priorityMax?: number;
  readonly sinceUs?: bigint;
  readonly untilUs?: bigint;
  /** Only this one. */
  readonly id?: string;
  readonly matchers: readonly AlertMatcher[];
}

/** What arrived after a place in the order of arrival, oldest first. */
export interface Arrivals {
  readonly alerts: readonly StoredAlert[];
  /** All that were looked at now, whether they met the filter or not. */
  readonly looked: readonly bigint[];
  /** The last of them; absent when there is no other behind it. */
  readonly lookedUpTo?: bigint;
}

/** Behind which alert a look begins, and which of those that follow were looked at already: they are left out. */
export interface ArrivalPlace {
  readonly after: bigint;
  readonly told: readonly bigint[];
}

/**
 * The first alerts that came after a place in the order of arrival and were not looked at, oldest first, at most `size`. Where patterns take
 * long the look ends where their time did. Throws `PatternsTooSlow` when those of clusters take all of it.
 */
export async function listArrivals(
  db: Db,
  filter: AlertFilter,
  { after, told }: ArrivalPlace,
  size: number,
): Promise<Arrivals> {
  const search = await prepareSearch(db, filter);
  if (search === undefined) return { alerts: [], looked: [] };
  const { rest, others } = search;
  const lookedAt = rest.length > 0 ? Math.max(size, arrivalsMax) : size;
  const isNew = told.length === 0 ? sql`true` : sql`a.arrival <> all(${param(told.map(String))}::bigint[])`;
  const terms = [search.untimed, search.times, ...others, sql`a.arrival > ${after}`, isNew];
  const { rows } = await db.execute<KeyRow>(sql`
    select ${keyColumns(rest)} from alerts a where ${sql.join(terms, sql` and `)} order by a.arrival limit ${lookedAt}`);
  const { met, tried } = await search.pickFirst(rows);
  const keys = rows.slice(0, tried);
  const shown = firstOf(met, size);
  const isAll = tried === rows.length && rows.length < lookedAt;
  const last = met.length > shown.length ? shown.at(-1) : isAll ? undefined : keys.at(-1);
  const upTo = last === undefined ? undefined : BigInt(last.arrival);
  const looked = keys.map(({ arrival }) => BigInt(arrival));
  return {
    alerts: await readAlerts(db, shown),
    looked: upTo === undefined ? looked : looked.filter((arrival) => arrival <= upTo),
    ...(upTo === undefined ? {} : { lookedUpTo: upTo }),
  };
}

/** Alerts that one look of a tail tries patterns on. */
const arrivalsMax = 2_000;

/** The place of the newest alert in the order of arrival; 0 when there is none. */
export async function lastArrival(db: Db): Promise<bigint> {
  const { rows } = await db.execute<{ last: string }>(
    sql`select coalesce(max(arrival), 0) as last from alerts`,
  );
  return BigInt(rows[0]?.last ?? 0);
}

/**
 * The place behind which those are that were stored since a time, as exactly as the clocks of the servers agree. No index leads to the time
 * of storing, which rises with the places: halving their range finds it in at most as many steps as a place has bits.
 */
export async function placeAt(db: Db, receivedUs: bigint): Promise<bigint> {
  let [low, high] = [0n, await lastArrival(db)];
  while (low < high) {
    const middle = (low + high) / 2n;
    const { rows } = await db.execute<{ arrival: string; isEarlier: boolean }>(sql`
      select a.arrival, a.received_at < ${instant(sql`${receivedUs}::bigint`)} as "isEarlier"
      from alerts a where a.arrival > ${middle} order by a.arrival limit 1`);
    const [next] = rows;
    if (next?.isEarlier !== true) high = middle;
    else low = BigInt(next.arrival) < high ? BigInt(next.arrival) : high;
  }
  return low;
}

/** A filter, taken apart by who can answer it how fast. */
export interface Search extends Picks {
  /** The only clusters and rules that are asked for; undefined for all. */
  readonly clusterIds: readonly string[] | undefined;
  readonly rules: readonly string[] | undefined;
  /** Conditions on clusters and rules. */
  readonly untimed: SQL;
  readonly times: SQL;
  /** The other conditions that Postgres answers. */
  readonly others: readonly SQL[];
  /** What is tried on each alert here. */
  readonly rest: readonly AlertMatcher[];
}

/** Chooses the rows that meet `rest`, in the time that is left for the patterns of the whole search. */
interface Picks {
  /** Throws `PatternsTooSlow`. */
  readonly pick: <K extends FactsRow>(rows: readonly K[]) => Promise<readonly K[]>;
  /** Of the first rows, as many as there is time for, at least one. */
  readonly pickFirst: <K extends FactsRow>(rows: readonly K[]) => Promise<Picked<K>>;
}

/** Undefined when there can be no such alert. Throws `PatternsTooSlow` when patterns of clusters take longer than `patternsMs`. */
export async function prepareSearch(
  db: Db,
  filter: AlertFilter,
  patternsMs: number = patternsMsMax,
): Promise<Search | undefined> {
  const time = createPatternTime(patternsMs);
  const clusterIds = await findClusters(db, filter, time);
  const rules = rulesOf(filter);
  if (clusterIds?.length === 0 || rules?.length === 0) return undefined;
  const { where, rest } = splitMatchers(
    filter.matchers.filter((each) => !aboutCluster(each) && !namesRule(each)),
    columns,
  );
  const times = [sql`true`];
  if (filter.sinceUs !== undefined) times.push(sql`a.time >= ${instant(sql`${filter.sinceUs}::bigint`)}`);
  if (filter.untilUs !== undefined) times.push(sql`a.time < ${instant(sql`${filter.untilUs}::bigint`)}`);
  const others = [...where];
  if (filter.tags.length > 0) others.push(sql`a.tags && ${param(filter.tags)}::text[]`);
  if (filter.id !== undefined) others.push(sql`a.id = ${filter.id}`);
  if (filter.priorityMax !== undefined) others.push(sql`a.priority <= ${filter.priorityMax}`);
  return {
    clusterIds,
    rules,
    untimed: sql.join([isOneOf(sql`a.cluster_id`, clusterIds), isOneOf(sql`a.rule`, rules)], sql` and `),
    times: sql.join(times, sql` and `),
    others,
    rest,
    ...picking(rest, time),
  };
}

/** Picks rows by matchers that look at nothing of clusters. */
export function picking(matchers: readonly AlertMatcher[], time: PatternTime): Picks {
  if (matchers.length === 0) {
    return {
      pick: (rows) => Promise.resolve(rows),
      pickFirst: (rows) => Promise.resolve({ met: rows, tried: rows.length }),
    };
  }
  const test = compileMatchers(matchers);
  const meets = (row: FactsRow) => test({ ...noFacts, ...row });
  return { pick: (rows) => time.pick(rows, meets), pickFirst: (rows) => time.pickFirst(rows, meets) };
}

function namesRule({ name, operator }: AlertMatcher): boolean {
  return name === "rule" && operator === "=";
}

/** The rules that a filter names, each once; undefined when it leaves all. */
function rulesOf({ rules: given, matchers }: AlertFilter): readonly string[] | undefined {
  const rules = [...new Set(given)];
  const named = matchers.filter(namesRule).map(({ value }) => value);
  const [first] = named;
  if (first === undefined) return rules.length === 0 ? undefined : rules;
  const isThere = named.every((each) => each === first) && (rules.length === 0 || rules.includes(first));
  return isThere ? [first] : [];
}

/** One value is compared by itself, so that its part of an index is read in order. */
export function isOneOf(column: SQL, values: readonly string[] | undefined): SQL {
  if (values === undefined) return sql`true`;
  const [only, ...more] = values;
  return more.length === 0 ? sql`${column} = ${only}` : sql`${column} = any(${param(values)}::text[])`;
}

/** The clusters that a filter leaves; undefined when it leaves all. */
async function findClusters(
  db: Db,
  filter: AlertFilter,
  time: PatternTime,
): Promise<readonly string[] | undefined> {
  const matchers = filter.matchers.filter(aboutCluster);
  if (filter.scope.length === 0 && filter.selector.length === 0 && matchers.length === 0) return undefined;
  const { where, rest } = splitMatchers(matchers, columns);
  const terms = [labelsIn(filter.scope, "c"), whereLabels(sql`c.labels`, filter.selector), ...where];
  const { rows } = await db.execute<{ id: string; name: string; labels: Labels }>(
    sql`select c.id, c.name, c.labels from clusters c where ${sql.join(terms, sql` and `)}`,
  );
  const test = compileMatchers(rest);
  const met = await time.pick(rows, ({ name, labels }) => test({ ...noFacts, cluster: name, labels }));
  return met.map(({ id }) => id);
}

const columns = {
  rule: sql`a.rule`,
  priority: sql`a.priority`,
  source: sql`a.source`,
  output: sql`a.output`,
  tags: sql`a.tags`,
  actor: sql`a.actor`,
  fields: sql`a.fields`,
  cluster: sql`c.name`,
  labels: sql`c.labels`,
};

/** The facts of an alert of which nothing is known. */
export const noFacts: AlertFacts = {
  rule: "",
  priority: 0,
  source: "",
  output: "",
  tags: [],
  actor: "",
  cluster: "",
  labels: {},
  fields: {},
};

/** The facts of an alert, without those of its cluster. */
export type FactsRow = Partial<Omit<AlertFacts, "cluster" | "labels">>;

/** What is read of an alert before it is known whether it is shown. */
export type KeyRow = FactsRow & {
  timeUs: string;
  id: string;
  clusterId: string;
  arrival: string;
  bytes: number;
};

/** The columns of keys, of rows called `a`, with what patterns look at. */
export function keyColumns(patterns: readonly AlertMatcher[]): SQL {
  const columns = [
    sql`${microseconds(sql`a.time`)} as "timeUs", a.id, a.cluster_id as "clusterId", a.arrival`,
    sql`octet_length(a.output) + octet_length(a.body) as bytes`,
  ];
  return sql.join([...columns, ...factColumns(patterns)], sql`, `);
}

/** The texts of a page. An alert has up to 320 KiB of them, and a page that holds none leads nowhere. */
const pageBytesMax = 8 * 1024 * 1024;

/** As many as fit into a page, at most `size`, at least one if there is one. */
export function firstOf<K extends KeyRow>(keys: readonly K[], size: number): readonly K[] {
  let bytes = 0;
  const past = keys.findIndex((key, i) => {
    bytes += key.bytes;
    return i >= size || (i > 0 && bytes > pageBytesMax);
  });
  return past === -1 ? keys : keys.slice(0, past);
}

/** The alerts of some keys, in their order. */
export async function readAlerts(db: Db, keys: readonly KeyRow[]): Promise<readonly StoredAlert[]> {
  if (keys.length === 0) return [];
  const times = keys.map(({ timeUs }) => BigInt(timeUs)).toSorted((one, other) => (one < other ? -1 : 1));
  // Said as values, so that the plan leaves out the days that hold none of them.
  const within = sql`a.time between ${instant(sql`${times[0]}::bigint`)} and ${instant(sql`${times.at(-1)}::bigint`)}`;
  const { rows } = await db.execute<ReadRow>(sql`
    select a.id, ${microseconds(sql`a.time`)} as "timeUs", ${microseconds(sql`a.received_at`)} as "receivedUs",
      a.arrival, a.cluster_id as "clusterId", c.name as "clusterName", a.agent_id as "agentId", a.rule, a.priority,
      a.source, a.output, a.body, a.audit_id as "auditId", a.tags, a.rules_digest as "rulesDigest", a.actor, a.fields,
      a.silence_id as "silenceId"
    from unnest(${param(keys.map(({ clusterId }) => clusterId))}::text[], ${param(keys.map(({ timeUs }) => timeUs))}::bigint[],
      ${param(keys.map(({ id }) => id))}::text[]) with ordinality as k (cluster_id, time_us, id, n)
    join alerts a on a.cluster_id = k.cluster_id and a.time = ${instant(sql`k.time_us`)} and a.id = k.id and ${within}
    join clusters c on c.id = a.cluster_id order by k.n`);
  return rows.map((row) => ({
    ...row,
    timeUs: BigInt(row.timeUs),
    receivedUs: BigInt(row.receivedUs),
    arrival: BigInt(row.arrival),
  }));
}

type ReadRow = Omit<StoredAlert, "timeUs" | "receivedUs" | "arrival"> & {
  readonly timeUs: string;
  readonly receivedUs: string;
  readonly arrival: string;
} & Record<string, unknown>;

export function microseconds(time: SQL): SQL {
  return sql`(extract(epoch from ${time}) * 1000000)::bigint`;
}

// Through an interval, because a double of seconds since 1970 does not hold microseconds.
export function instant(us: SQL): SQL {
  return sql`(timestamptz 'epoch' + ${us} * interval '1 microsecond')`;
}
