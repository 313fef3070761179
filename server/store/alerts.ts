import { sql, type SQL } from "drizzle-orm";

import type { Scope } from "../domain/scope.ts";
import type { Selector } from "../domain/selector.ts";
import { param } from "./assignments.ts";
import type { Db } from "./pool.ts";
import { labelsIn } from "./scopes.ts";
import { whereLabels } from "./selectors.ts";

/** An alert as it is stored. Times are microseconds since 1970, which is what Postgres keeps. */
export interface AlertRow {
  readonly id: string;
  readonly timeUs: bigint;
  readonly clusterId: string;
  readonly agentId: string;
  readonly rule: string;
  readonly priority: number;
  readonly source: string;
  readonly output: string;
  readonly body: string;
  readonly auditId: string;
  readonly tags: readonly string[];
  readonly rulesDigest: string;
}

/** An alert as it is read, with the cluster's name and what the store knows of its arrival. */
export interface StoredAlert extends AlertRow {
  readonly clusterName: string;
  readonly receivedUs: bigint;
  readonly arrival: bigint;
}

/** Stores alerts that are not there yet. Repeating it changes nothing: the same alert of a cluster has the same id and time. */
export async function storeAlerts(db: Db, rows: readonly AlertRow[], now: Date): Promise<void> {
  if (rows.length === 0) return;
  // As JSON, because tags are a list in a list, which unnest cannot take apart.
  const json = JSON.stringify(rows.map((row) => ({ ...row, timeUs: String(row.timeUs) })));
  await db.execute(sql`
    insert into alerts (id, time, received_at, cluster_id, agent_id, rule, priority, source, output, body, audit_id,
      tags, rules_digest)
    select x.id, ${instant(sql`x."timeUs"`)}, ${now.toISOString()}::timestamptz, x."clusterId", x."agentId", x.rule,
      x.priority, x.source, x.output, x.body, x."auditId",
      coalesce((select array_agg(tag) from jsonb_array_elements_text(x.tags) tag), '{}'), x."rulesDigest"
    from jsonb_to_recordset(${json}::jsonb) as x (id text, "timeUs" bigint, "clusterId" text, "agentId" text, rule text,
      priority smallint, source text, output text, body text, "auditId" text, tags jsonb, "rulesDigest" text)
    on conflict do nothing`);
}

/** All conditions that are set must hold. */
export interface AlertFilter {
  /** The clusters that exist for whoever asks. */
  readonly scope: Scope;
  readonly selector: Selector;
  readonly rules: readonly string[];
  /** The least severe priority wanted, as a number. */
  readonly priorityMax?: number;
  readonly sinceUs?: bigint;
  readonly untilUs?: bigint;
}

/** Where a page ended. */
export interface AlertPosition {
  readonly timeUs: bigint;
  readonly id: string;
  readonly clusterId: string;
}

/** Newest first. */
export async function listAlerts(
  db: Db,
  filter: AlertFilter,
  size: number,
  before?: AlertPosition,
): Promise<readonly StoredAlert[]> {
  const older =
    before === undefined
      ? sql`true`
      : sql`(a.time, a.id, a.cluster_id) < (${instant(sql`${before.timeUs}::bigint`)}, ${before.id}, ${before.clusterId})`;
  return readAlerts(
    db,
    sql`${matches(filter)} and ${older} order by a.time desc, a.id desc, a.cluster_id desc limit ${size}`,
  );
}

/** The alerts that came after a place in the order of arrival, oldest first. */
export async function listArrivals(
  db: Db,
  filter: AlertFilter,
  after: bigint,
  size: number,
): Promise<readonly StoredAlert[]> {
  return readAlerts(db, sql`${matches(filter)} and a.arrival > ${after} order by a.arrival limit ${size}`);
}

/** The place of the newest alert in the order of arrival; 0 when there is none. */
export async function lastArrival(db: Db): Promise<bigint> {
  const { rows } = await db.execute<{ last: string }>(
    sql`select coalesce(max(arrival), 0) as last from alerts`,
  );
  return BigInt(rows[0]?.last ?? 0);
}

export const alertGroupings = ["rule", "priority", "cluster", "region"] as const;
export type AlertGrouping = (typeof alertGroupings)[number];

export interface AlertCount {
  readonly value: string;
  readonly count: bigint;
  readonly lastUs: bigint;
}

/** At most so many groups are told apart; the rest is left out, the biggest come first. */
const groupsMax = 1_000;

export async function countAlerts(
  db: Db,
  filter: AlertFilter,
  by: AlertGrouping,
): Promise<readonly AlertCount[]> {
  const value = {
    rule: sql`a.rule`,
    priority: sql`a.priority::text`,
    cluster: sql`c.name`,
    region: sql`c.labels ->> 'region'`,
  }[by];
  const { rows } = await db.execute<{ value: string; count: string; last: string }>(sql`
    select ${value} as value, count(*) as count, ${microseconds(sql`max(a.time)`)} as last
    from alerts a join clusters c on c.id = a.cluster_id
    where ${matches(filter)} group by 1 order by 2 desc, 1 limit ${groupsMax}`);
  return rows.map((row) => ({ value: row.value, count: BigInt(row.count), lastUs: BigInt(row.last) }));
}

function matches(filter: AlertFilter): SQL {
  const terms = [labelsIn(filter.scope, "c"), whereLabels(sql`c.labels`, filter.selector)];
  if (filter.rules.length > 0) terms.push(sql`a.rule = any(${param(filter.rules)}::text[])`);
  if (filter.priorityMax !== undefined) terms.push(sql`a.priority <= ${filter.priorityMax}`);
  if (filter.sinceUs !== undefined) terms.push(sql`a.time >= ${instant(sql`${filter.sinceUs}::bigint`)}`);
  if (filter.untilUs !== undefined) terms.push(sql`a.time < ${instant(sql`${filter.untilUs}::bigint`)}`);
  return sql.join(terms, sql` and `);
}

async function readAlerts(db: Db, where: SQL): Promise<readonly StoredAlert[]> {
  const { rows } = await db.execute<ReadRow>(sql`
    select a.id, ${microseconds(sql`a.time`)} as "timeUs", ${microseconds(sql`a.received_at`)} as "receivedUs",
      a.arrival, a.cluster_id as "clusterId", c.name as "clusterName", a.agent_id as "agentId", a.rule, a.priority,
      a.source, a.output, a.body, a.audit_id as "auditId", a.tags, a.rules_digest as "rulesDigest"
    from alerts a join clusters c on c.id = a.cluster_id where ${where}`);
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

function microseconds(time: SQL): SQL {
  return sql`(extract(epoch from ${time}) * 1000000)::bigint`;
}

// Through an interval, because a double of seconds since 1970 does not hold microseconds.
function instant(us: SQL): SQL {
  return sql`(timestamptz 'epoch' + ${us} * interval '1 microsecond')`;
}
