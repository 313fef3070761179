import { createHash } from "node:crypto";

import type { AlertFields } from "../domain/alert-fields.ts";
import type { IntakeFacts, IntakePlace } from "../domain/alert-intake.ts";
import { clockSlackMs } from "../domain/alert-time.ts";
import { idBytes, makeId, type AlertGroupId } from "../domain/ids.ts";
import { instant } from "./alerts.ts";
import { param } from "./assignments.ts";
import { sql, type SQL } from "./drizzle.ts";
import type { Db } from "./pool.ts";
import type { Labels } from "./schema.ts";

/** An alert as an agent sent it, in bounds. Times are microseconds since 1970, which is what Postgres keeps. */
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
  readonly actor: string;
  readonly fields: AlertFields;
}

/** An alert with what was decided about it. */
export interface PlacedAlert extends AlertRow {
  readonly place: IntakePlace;
  /** The silence that it meets. */
  readonly silence?: { readonly id: string; readonly expiresAt: Date };
}

/** A cluster as matchers see it, and what it sent so far. */
export interface ClusterIntake extends IntakeFacts {
  readonly clusterName: string;
  readonly labels: Labels;
  /** Grows when silences change. */
  readonly silencesVersion: bigint;
}

const hourMs = 3_600_000;
/** Newest alerts that a group shows. */
const samplesMax = 5;
const sampleCharsMax = 500;

/** The same for the same rule, cluster and actor. */
export function alertGroupId(clusterId: string, rule: string, actor: string): AlertGroupId {
  const named = JSON.stringify([clusterId, rule, actor]);
  return makeId("alert group", createHash("sha256").update(named).digest().subarray(0, idBytes));
}

/** What is known of a cluster that sends alerts of these groups. Undefined for a cluster that is not there. */
export async function readIntake(
  db: Db,
  clusterId: string,
  groupIds: readonly string[],
  now: Date,
): Promise<ClusterIntake | undefined> {
  const { rows } = await db.execute<IntakeRow>(sql`
    select c.name, c.labels,
      (select coalesce(jsonb_object_agg(rule, stored), '{}') from alert_intake
        where cluster_id = c.id and hour = ${hourOf(now)}) as stored,
      g.groups, g.heard,
      (select count(*)::int from alert_groups where cluster_id = c.id) as "groupCount",
      (select coalesce(max(changed), 0) from alert_silences) as version
    from clusters c, (
      select coalesce(array_agg(id), '{}') as groups,
        coalesce(array_agg(id) filter (where received_at >= ${hourOf(now)}), '{}') as heard
      from alert_groups where id = any(${param(groupIds)}::text[])) g
    where c.id = ${clusterId}`);
  const [row] = rows;
  if (row === undefined) return undefined;
  return {
    clusterName: row.name,
    labels: row.labels,
    stored: new Map(Object.entries(row.stored)),
    groups: new Set(row.groups),
    heardGroups: new Set(row.heard),
    groupCount: row.groupCount,
    silencesVersion: BigInt(row.version),
  };
}

type IntakeRow = {
  name: string;
  labels: Labels;
  stored: Readonly<Record<string, number>>;
  groups: readonly string[];
  heard: readonly string[];
  groupCount: number;
  version: string;
};

/** How many alerts of a batch were new. */
export interface Taken {
  readonly stored: number;
  /** Counted and not stored. */
  readonly notStored: number;
}

/**
 * Stores a batch of one cluster, counts it, and puts it into its groups, all in one statement, so that all of it or nothing is
 * there. What is stored already changes nothing: the same alert of a cluster has the same id and time. A resolved group that
 * gets an alert is open again. No alert may be in the batch twice.
 *
 * The transaction gets its number before its alerts get their places, so that who sees a place can tell whom to wait for.
 */
export async function storeAlerts(db: Db, placed: readonly PlacedAlert[], now: Date): Promise<Taken> {
  if (placed.length === 0) return { stored: 0, notStored: 0 };
  const at = sql`${now.toISOString()}::timestamptz`;
  const { rows } = await db.execute<{ stored: number; rest: number }>(sql`
    with given as (${givenRows(placed)}),
    numbered as materialized (select pg_current_xact_id() as xid),
    stored as (
      insert into alerts (id, time, received_at, cluster_id, agent_id, rule, priority, source, output, body, audit_id, tags,
        rules_digest, actor, fields, silence_id)
      select id, time, ${at}, cluster_id, agent_id, rule, priority, source, output, body, audit_id, tags, rules_digest, actor,
        fields, coalesce(silence_id, '')
      from given, numbered where is_stored order by cluster_id, time, id
      on conflict do nothing returning id, time
    ),
    fresh as (
      select g.* from given g where not g.is_stored
        and not exists (select 1 from alerts a where a.cluster_id = g.cluster_id and a.time = g.time and a.id = g.id)
      union all
      select g.* from given g join stored s on s.id = g.id and s.time = g.time where g.is_stored
    ),
    counted as (
      insert into alert_intake as i (cluster_id, hour, rule, stored, not_stored)
      select cluster_id, ${hourOf(now)}, counted_as, count(*) filter (where is_stored), count(*) filter (where not is_stored)
      from fresh group by 1, 3 order by 1, 3
      on conflict (cluster_id, hour, rule) do update
        set stored = i.stored + excluded.stored, not_stored = i.not_stored + excluded.not_stored
    ),
    hours as (
      insert into alert_hours as h (hour, cluster_id, rule, priority, count, last_at, received_at)
      select date_bin('1 hour', time, timestamptz 'epoch'), cluster_id, rule, priority, count(*), max(time), ${at}
      from fresh where is_stored group by 1, 2, 3, 4 order by 1, 2, 3, 4
      on conflict (hour, cluster_id, rule, priority) do update set count = h.count + excluded.count,
        last_at = greatest(h.last_at, excluded.last_at), received_at = excluded.received_at
    ),
    totals as (
      insert into alert_totals as t (hour, cluster_id, rule, priority, share, count, last_at, received_at)
      ${totalsOf(sql`(select date_bin('1 hour', time, timestamptz 'epoch') as hour, cluster_id, rule, priority, 1 as count,
        time as last_at, ${at} as received_at from fresh where is_stored)`)}
      on conflict (hour, cluster_id, rule, priority, share) do update set count = t.count + excluded.count,
        last_at = greatest(t.last_at, excluded.last_at), received_at = excluded.received_at
    ),
    grouped as (${upsertGroups(at)}),
    opened as (
      insert into alert_group_acts (group_id, at, who, what, note)
      select id, ${at}, '', 'reopen', '' from grouped where state = 'open' and state_at = ${at} and generation > 1
    )
    select count(*) filter (where is_stored)::int as stored, count(*) filter (where not is_stored)::int as rest from fresh`);
  return { stored: rows[0]?.stored ?? 0, notStored: rows[0]?.rest ?? 0 };
}

/** Clusters that send at the same time seldom are of one share. */
const shares = 16;

/**
 * The rows of totals for counted rows: one for each hour and cluster, and one for each hour, rule, priority and share. In one order for
 * everybody, so that batches that touch the same rows wait for each other and never in a circle.
 */
export function totalsOf(counted: SQL): SQL {
  return sql`
    select hour, cluster_id, '' as rule, 0 as priority, 0 as share, sum(count), max(last_at), max(received_at)
    from ${counted} c group by 1, 2
    union all
    select hour, '', rule, priority, abs(hashtext(cluster_id) % ${sql.raw(`${shares}`)}), sum(count), max(last_at), max(received_at)
    from ${counted} c group by 1, 3, 4, 5
    order by 1, 2, 3, 4, 5`;
}

/** What became of a cluster's alerts since an hour. */
export interface IntakeSums {
  readonly stored: bigint;
  readonly notStored: bigint;
  /** The rules with most alerts that were not stored. */
  readonly rules: readonly string[];
}

const rulesShown = 5;

export async function sumIntake(db: Db, clusterId: string, since: Date): Promise<IntakeSums> {
  const { rows } = await db.execute<{ stored: string; rest: string; rules: readonly string[] }>(sql`
    with sums as (
      select rule, sum(stored) as stored, sum(not_stored) as rest from alert_intake
      where cluster_id = ${clusterId} and hour >= ${hourOf(since)} group by rule
    )
    select coalesce(sum(stored), 0)::bigint as stored, coalesce(sum(rest), 0)::bigint as rest,
      array(select rule from sums where rest > 0 order by rest desc, rule limit ${rulesShown}) as rules
    from sums`);
  const [row] = rows;
  return { stored: BigInt(row?.stored ?? 0), notStored: BigInt(row?.rest ?? 0), rules: row?.rules ?? [] };
}

/** A cluster that sent more alerts than are stored. */
export interface Unstored {
  readonly cluster: string;
  readonly labels: Labels;
  readonly count: bigint;
  /** Those with most alerts, at most five. */
  readonly rules: readonly string[];
  readonly since: Date;
}

/** Clusters of which alerts of this hour or the last were counted and not stored, by name. */
export async function listUnstored(db: Db, now: Date, max: number): Promise<readonly Unstored[]> {
  const { rows } = await db.execute<Omit<Unstored, "count" | "since"> & { count: string; since: string }>(sql`
    with sums as (
      select cluster_id, rule, sum(not_stored) as rest, min(hour) as since from alert_intake
      where hour >= ${hourOf(new Date(now.getTime() - hourMs))} and not_stored > 0 group by cluster_id, rule
    )
    select c.name as cluster, c.labels, sum(s.rest)::bigint as count, min(s.since) as since,
      (array_agg(s.rule order by s.rest desc, s.rule))[1:${rulesShown}] as rules
    from sums s join clusters c on c.id = s.cluster_id where c.retired_at is null
    group by c.id order by c.name limit ${max}`);
  return rows.map((row) => ({ ...row, count: BigInt(row.count), since: new Date(row.since) }));
}

/** Forgets what clusters sent long ago: hours of which all was stored first. */
export async function removeOldIntake(
  db: Db,
  before: { readonly whole: Date; readonly unstored: Date },
): Promise<number> {
  const gone = await db.execute(sql`
    delete from alert_intake where hour < ${before.unstored.toISOString()}::timestamptz
      or (hour < ${before.whole.toISOString()}::timestamptz and not_stored = 0)`);
  return gone.rowCount ?? 0;
}

function givenRows(placed: readonly PlacedAlert[]): SQL {
  // As JSON, because tags are a list in a list, which unnest cannot take apart.
  const json = JSON.stringify(
    placed.map(({ place, silence, ...alert }) => ({
      ...alert,
      timeUs: String(alert.timeUs),
      groupId: place.groupId,
      groupRule: place.group.rule,
      groupActor: place.group.actor,
      countedAs: place.countedAs,
      isStored: place.isStored,
      silenceId: silence?.id ?? null,
      silencedUntil: silence?.expiresAt.toISOString() ?? null,
    })),
  );
  return sql`
    select x.id, timestamptz 'epoch' + x."timeUs" * interval '1 microsecond' as time, x."timeUs" as time_us,
      x."clusterId" as cluster_id, x."agentId" as agent_id, x.rule, x.priority, x.source, x.output, x.body,
      x."auditId" as audit_id, coalesce((select array_agg(tag) from jsonb_array_elements_text(x.tags) tag), '{}') as tags,
      x."rulesDigest" as rules_digest, x.actor, x.fields, x."silenceId" as silence_id,
      x."silencedUntil" as silenced_until, x."groupId" as group_id, x."groupRule" as group_rule,
      x."groupActor" as group_actor, x."countedAs" as counted_as, x."isStored" as is_stored
    from jsonb_to_recordset(${json}::jsonb) as x (id text, "timeUs" bigint, "clusterId" text, "agentId" text, rule text,
      priority smallint, source text, output text, body text, "auditId" text, tags jsonb, "rulesDigest" text, actor text,
      fields jsonb, "silenceId" text, "silencedUntil" timestamptz, "groupId" text, "groupRule" text, "groupActor" text,
      "countedAs" text, "isStored" boolean)`;
}

/** One row per group of the batch, in one order for everybody, so that agents of a cluster do not lock each other out. */
function upsertGroups(at: SQL): SQL {
  // What lies ahead gives way to all else: a clock that runs ahead is not to be the newest until its time has come.
  const ahead = sql`(${at} + ${clockSlackMs}::int * interval '1 millisecond')`;
  const newestFirst = sql`time > ${ahead}, time desc, id`;
  const newest = (column: SQL) => sql`(array_agg(${column} order by ${newestFirst}))[1]`;
  // A backlog that comes late is not what a group shows as its newest.
  const isNewer = sql`case when (g.last_at > ${ahead}) = (excluded.last_at > ${ahead}) then excluded.last_at >= g.last_at
    else g.last_at > ${ahead} end`;
  const newer = (column: string) => sql`${sql.identifier(column)} = case
    when ${isNewer} then ${sql.raw(`excluded.${column}`)} else ${sql.raw(`g.${column}`)} end`;
  const sampleTime = sql`(each ->> 'timeUs')::bigint`;
  return sql`
    insert into alert_groups as g (id, cluster_id, rule, actor, priority, source, tags, count, not_stored, first_at, last_at,
      received_at, state, state_at, silence_id, silenced_until, fields, samples)
    select group_id, min(cluster_id), min(group_rule), min(group_actor), min(priority), ${newest(sql`source`)},
      array(select jsonb_array_elements_text(${newest(sql`to_jsonb(tags)`)})), count(*),
      count(*) filter (where not is_stored), min(time), ${newest(sql`time`)}, ${at}, 'open', ${at}, ${newest(sql`silence_id`)},
      ${newest(sql`silenced_until`)}, ${newest(sql`fields`)},
      to_jsonb((array_agg(jsonb_build_object('id', id, 'timeUs', time_us::text, 'output', left(output, ${sampleCharsMax}))
        order by ${newestFirst}))[1:${samplesMax}])
    from fresh group by group_id order by group_id
    on conflict (id) do update set
      priority = least(g.priority, excluded.priority), ${newer("source")}, ${newer("tags")},
      count = g.count + excluded.count, not_stored = g.not_stored + excluded.not_stored,
      first_at = least(g.first_at, excluded.first_at), ${newer("last_at")},
      received_at = excluded.received_at, ${newer("fields")}, ${newer("silence_id")}, ${newer("silenced_until")},
      samples = (select jsonb_agg(each order by n) from (
        select each, row_number() over (order by ${instant(sampleTime)} > ${ahead}, ${sampleTime} desc, n) as n
        from jsonb_array_elements(excluded.samples || g.samples) with ordinality x (each, n)
        order by n limit ${samplesMax}) newest),
      state = case g.state when 'resolved' then 'open' else g.state end,
      state_by = case g.state when 'resolved' then '' else g.state_by end,
      note = case g.state when 'resolved' then '' else g.note end,
      state_at = case g.state when 'resolved' then ${at} else g.state_at end,
      generation = g.generation + case g.state when 'resolved' then 1 else 0 end
    returning g.id, g.state, g.state_at, g.generation`;
}

function hourOf(now: Date): SQL {
  return sql`${new Date(Math.floor(now.getTime() / hourMs) * hourMs).toISOString()}::timestamptz`;
}
