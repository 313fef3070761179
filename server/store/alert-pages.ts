import {
  firstOf,
  instant,
  isOneOf,
  keyColumns,
  prepareSearch,
  readAlerts,
  type AlertFilter,
  type KeyRow,
  type Search,
  type StoredAlert,
} from "./alerts.ts";
import { param } from "./assignments.ts";
import { sql, type SQL } from "./drizzle.ts";
import type { Db } from "./pool.ts";

/** Where a page ended. */
export interface AlertPosition {
  readonly timeUs: bigint;
  readonly id: string;
  readonly clusterId: string;
}

export interface AlertPage {
  readonly alerts: readonly StoredAlert[];
  /** Where the next page begins; absent when there is none. */
  readonly next?: AlertPosition;
}

/** What one call costs at most. */
export interface PageBounds {
  /** Alerts that are looked at along all ways and lanes, with conditions that no index answers, and with patterns, which are tried here. */
  readonly lookedAtMax: { readonly conditions: number; readonly patterns: number };
  /** Clusters or rules whose alerts are looked at apart, when that is tried first, and when everything else was tried before. */
  readonly lanesMax: { readonly first: number; readonly last: number };
}

export const pageBounds: PageBounds = {
  lookedAtMax: { conditions: 10_000, patterns: 2_000 },
  lanesMax: { first: 100, last: 1_000 },
};

/**
 * Newest first. A page may be short although more follow: a call looks at a bounded number of alerts and hands out 8 MiB. What an index
 * keeps apart (clusters, rules) is looked at apart, so that few alerts among very many others are found at once.
 */
export async function listAlerts(
  db: Db,
  filter: AlertFilter,
  size: number,
  before?: AlertPosition,
  bounds: PageBounds = pageBounds,
): Promise<AlertPage> {
  const search = await prepareSearch(db, filter);
  if (search === undefined) return { alerts: [] };
  const { met, edge } = await lookAround(db, search, { size, before, bounds });
  const shown = firstOf(met, size);
  const last = met.length > shown.length ? shown.at(-1) : edge;
  return { alerts: await readAlerts(db, shown), ...(last === undefined ? {} : { next: positionOf(last) }) };
}

/**
 * Postgres takes every lane for one of average size, of which it would sort all that there is: of a loud one that are millions. In the
 * order of its index it reads as many as are asked for.
 */
const inOrder = sql`select set_config(name, 'off', true) from unnest(array['enable_bitmapscan', 'enable_sort']) name`;

/** Tries one way after the other until one leads far enough, and answers with the look that got furthest. */
async function lookAround(
  db: Db,
  search: Search,
  { size, before, bounds }: Omit<PageAsked, "lookedAtMax"> & { readonly bounds: PageBounds },
): Promise<Pick<Look, "met" | "edge">> {
  const { conditions, patterns } = bounds.lookedAtMax;
  let left = search.rest.length > 0 ? patterns : conditions;
  let best: Look | undefined;
  const ways = waysOf(search, bounds);
  for (const [i, way] of ways.entries()) {
    // The last way has what those before it left.
    const lookedAtMax = Math.floor(left / (way.isTry ? tryShare : ways.length - i));
    const look = await lookAlong(db, search, way, { size, before, lookedAtMax });
    left -= look.looked;
    if (best === undefined || isFurther(look, best)) best = look;
    if (best.edge === undefined || best.met.length >= size) break;
  }
  return best ?? { met: [] };
}

/** A try has a fifth of what may be looked at. */
const tryShare = 5;

/** The clusters, or rules, or rules of clusters, whose alerts are looked at apart. */
interface Lane {
  readonly value: string;
  /** Of a cluster's rule; else empty. */
  readonly rule: string;
}

/** What a look goes along: everything by time, or the newest of each of some lanes. */
interface Way {
  readonly lanes: "time" | "cluster" | "rule" | "rule of a cluster";
  readonly of: readonly Lane[];
  /** Few alerts in order, before many lanes are looked along. */
  readonly isTry?: true;
}

/** Ways to go, the most promising first. */
function waysOf({ clusterIds, rules }: Search, { lanesMax }: PageBounds): readonly Way[] {
  const along = (lanes: Way["lanes"], values: readonly string[]): Way => ({
    lanes,
    of: values.map((value) => ({ value, rule: "" })),
  });
  const byTime = along("time", [""]);
  const byRule = rules !== undefined && rules.length <= lanesMax.first ? along("rule", rules) : undefined;
  const pairs = (clusterIds?.length ?? 0) * (rules?.length ?? 0);
  const isPaired = pairs > 0 && pairs <= lanesMax.first;
  const ways: Way[] = [];
  if (clusterIds !== undefined && clusterIds.length <= lanesMax.first) {
    // Many clusters have a part of the newest alerts, which lie together, and those of each do not.
    if (clusterIds.length > lanesMax.first / 10) ways.push({ ...(byRule ?? byTime), isTry: true });
    const of = clusterIds.flatMap((value) => (rules ?? []).map((rule) => ({ value, rule })));
    ways.push(isPaired ? { lanes: "rule of a cluster", of } : along("cluster", clusterIds));
  }
  // Not the same way twice.
  const isTried = ways[0]?.isTry === true;
  if (byRule !== undefined && !isPaired && !isTried) ways.push(byRule);
  if (ways.length === 0) ways.push(byTime);
  if (clusterIds !== undefined && clusterIds.length > lanesMax.first && clusterIds.length <= lanesMax.last) {
    ways.push(along("cluster", clusterIds));
  }
  return ways;
}

interface Look {
  /** Newest first, and nothing is missing among them. */
  readonly met: readonly KeyRow[];
  /** The last that was looked at; absent when nothing follows. */
  readonly edge?: KeyRow;
  /** How many alerts were looked at. */
  readonly looked: number;
}

function isFurther({ edge, met }: Look, other: Look): boolean {
  if (edge === undefined || other.edge === undefined) return edge === undefined;
  return met.length > other.met.length || BigInt(edge.timeUs) < BigInt(other.edge.timeUs);
}

interface PageAsked {
  readonly size: number;
  readonly before: AlertPosition | undefined;
  readonly lookedAtMax: number;
}

/** A lane that may have more than was looked at. */
interface OpenLane extends Lane {
  /** The last that was looked at. */
  readonly end?: KeyRow;
}

/** Statements that one way takes at most. */
const roundsMax = 8;

/**
 * Looks at the newest alerts of all lanes, and then on along those lanes that are behind, until there are enough or all that may be looked
 * at were. Where a lane may have more, nothing is known of what is older than the last that was looked at: the newest of these is the edge.
 */
async function lookAlong(db: Db, search: Search, way: Way, asked: PageAsked): Promise<Look> {
  const { size, lookedAtMax } = asked;
  let open: readonly OpenLane[] = way.of;
  let met: readonly KeyRow[] = [];
  let edge: KeyRow | undefined;
  let looked = 0;
  for (let round = 0; round < roundsMax; round += 1) {
    const next = lanesBehind(open);
    const left = lookedAtMax - looked;
    if (round > 0 && left < next.length) break;
    const inLane = Math.max(1, Math.floor((left * shareOf(round, next.length, open.length)) / next.length));
    const found = await lookAt(db, search, { lanes: way.lanes, next, inLane }, asked);
    looked += found.looked;
    open = [...open.filter((lane) => !next.includes(lane)), ...found.open];
    met = [...met, ...found.met].toSorted(newestFirst);
    edge = newestEnd(open);
    if (edge === undefined || withinEdge(met, edge).length > size) break;
  }
  return { met: withinEdge(met, edge), looked, ...(edge === undefined ? {} : { edge }) };
}

/** The share of what is left for a round. At first nobody knows which lanes are the loud ones, so that most is kept for these. */
function shareOf(round: number, next: number, open: number): number {
  if (round === roundsMax - 1 || open === 1) return 1;
  if (round === 0) return 1 / 4;
  return next === open ? 1 : 1 / 2;
}

/** The lanes to look along next: a page comes no further than the one whose end is the newest, and those near to it. */
function lanesBehind(open: readonly OpenLane[]): readonly OpenLane[] {
  const ends = open
    .flatMap(({ end }) => (end === undefined ? [] : [BigInt(end.timeUs)]))
    .toSorted((one, other) => (one > other ? -1 : 1));
  const [newest, median] = [ends[0], ends[Math.floor(ends.length / 2)]];
  if (newest === undefined || median === undefined) return open;
  const from = newest - (newest - median) / 2n;
  return open.filter(({ end }) => end !== undefined && BigInt(end.timeUs) >= from);
}

function newestEnd(open: readonly OpenLane[]): KeyRow | undefined {
  return open.flatMap(({ end }) => (end === undefined ? [] : [end])).toSorted(newestFirst)[0];
}

function withinEdge(met: readonly KeyRow[], edge: KeyRow | undefined): readonly KeyRow[] {
  return edge === undefined ? met : met.filter((row) => newestFirst(row, edge) <= 0);
}

/** As the database orders them: ids are digits and lower-case letters, in every collation. */
function newestFirst(one: KeyRow, other: KeyRow): number {
  if (one.timeUs !== other.timeUs) return BigInt(one.timeUs) > BigInt(other.timeUs) ? -1 : 1;
  if (one.id !== other.id) return one.id > other.id ? -1 : 1;
  if (one.clusterId === other.clusterId) return 0;
  return one.clusterId > other.clusterId ? -1 : 1;
}

interface Round {
  readonly lanes: Way["lanes"];
  readonly next: readonly OpenLane[];
  /** Alerts of each lane that are looked at. */
  readonly inLane: number;
}

type LookRow = KeyRow & { lane: string; laneRule: string; isMet: boolean; isEnd: boolean; looked: number };

/**
 * Looks at the next alerts of some lanes: what is met among them, newest first, and which lanes may have more. Patterns, which take their
 * time, are tried when the transaction is over: they keep no connection.
 */
async function lookAt(
  db: Db,
  search: Search,
  { lanes, next, inLane }: Round,
  { size, before }: PageAsked,
): Promise<{ readonly met: readonly KeyRow[]; readonly open: readonly OpenLane[]; readonly looked: number }> {
  const { clusterIds, rules, rest } = search;
  const others = [...search.others];
  const [ofCluster, ofRule] = [lanes.endsWith("cluster"), lanes.startsWith("rule")];
  if (!ofCluster && clusterIds !== undefined) others.push(isOneOf(sql`a.cluster_id`, clusterIds));
  if (!ofRule && rules !== undefined) others.push(isOneOf(sql`a.rule`, rules));
  const isDirect = rest.length === 0 && others.length === 0;
  const lookedAt = isDirect ? Math.min(size + 1, inLane) : inLane;
  const wanted = rest.length > 0 ? lookedAt * next.length : size + 1;
  const asked = sql`
    with looked as materialized (
      select lane.value as lane, lane.rule as "laneRule", a.time, ${keyColumns(rest)}, (${sql.join([sql`true`, ...others], sql` and `)}) as "isMet", a.n
      from ${laneRows(lanes, next, search, before, lookedAt)}
    ), placed as (
      select *, row_number() over (partition by "isMet" order by time desc, id desc, "clusterId" desc) as nth from looked
    )
    select k.*, k.n = ${lookedAt} as "isEnd", (select count(*)::int from looked) as looked
    from placed k where (k."isMet" and k.nth <= ${wanted}) or k.n = ${lookedAt}
    order by k.time desc, k.id desc, k."clusterId" desc`;
  const { rows } = await db.transaction(
    async (tx) => {
      await tx.execute(inOrder);
      return tx.execute<LookRow>(asked);
    },
    { accessMode: "read only" },
  );
  return {
    met: await search.pick(rows.filter((row) => row.isMet)),
    open: rows.flatMap((row) => (row.isEnd ? [{ value: row.lane, rule: row.laneRule, end: row }] : [])),
    looked: rows[0]?.looked ?? 0,
  };
}

/** Rows called `a`, each with its number `n` within its lane, which go on behind the lane's end or else before the page. */
function laneRows(
  lanes: Way["lanes"],
  next: readonly OpenLane[],
  { times }: Search,
  before: AlertPosition | undefined,
  lookedAt: number,
): SQL {
  const order = sql`order by a.time desc, a.id desc, a.cluster_id desc`;
  const ends = next.flatMap(({ end }) => (end === undefined ? [] : [end]));
  const olderThan = (us: SQL, id: SQL, clusterId: SQL) =>
    sql`a.time <= ${instant(us)} and (a.time, a.id, a.cluster_id) < (${instant(us)}, ${id}, ${clusterId})`;
  const olderThanPage =
    before === undefined
      ? sql`true`
      : olderThan(sql`${before.timeUs}::bigint`, sql`${before.id}`, sql`${before.clusterId}`);
  const older =
    ends.length === next.length ? olderThan(sql`lane.us`, sql`lane.id`, sql`lane.cluster_id`) : olderThanPage;
  const ofLane = {
    time: sql`true`,
    cluster: sql`a.cluster_id = lane.value`,
    rule: sql`a.rule = lane.value`,
    "rule of a cluster": sql`a.cluster_id = lane.value and a.rule = lane.rule`,
  }[lanes];
  return sql`unnest(${param(next.map(({ value }) => value))}::text[], ${param(next.map(({ rule }) => rule))}::text[],
      ${param(ends.map(({ timeUs }) => timeUs))}::bigint[],
      ${param(ends.map(({ id }) => id))}::text[], ${param(ends.map(({ clusterId }) => clusterId))}::text[])
    as lane (value, rule, us, id, cluster_id) cross join lateral (
    select *, row_number() over (${order}) as n from (
      select * from alerts a where ${ofLane} and ${times} and ${older} ${order} limit ${lookedAt}) a) a`;
}

function positionOf({ timeUs, id, clusterId }: KeyRow): AlertPosition {
  return { timeUs: BigInt(timeUs), id, clusterId };
}
