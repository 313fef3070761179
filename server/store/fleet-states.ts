import { clockSlackMs } from "../domain/alert-time.ts";
import { goneAfterMs, silentAfterMs } from "../domain/liveness.ts";
import { fleetState, roughCount, type FleetRule } from "../domain/notify/fleet-state.ts";
import type { Occurrence } from "../domain/notify/group.ts";
import { listUnstored } from "./alert-intake.ts";
import { sql, type SQL } from "./drizzle.ts";
import { hasLeft } from "./left.ts";
import type { Db } from "./pool.ts";
import type { Labels, StoredCondition, StoredSuspicion } from "./schema.ts";
import { isFlapping, isFresh } from "./suspicions.ts";

/** More of one kind than this are not told one by one by anybody. */
const statesMax = 2_000;
const droppedWithinMs = 5 * 60_000;
const failedWithinMs = 24 * 3_600_000;

const before = (now: Date, ms: number): string => new Date(now.getTime() - ms).toISOString();

type AgentRow = {
  readonly agent: string;
  readonly cluster: string;
  readonly labels: Labels;
} & Record<string, unknown>;

/** A look at the fleet. */
export interface FleetStates {
  readonly found: readonly Occurrence[];
  /** Rules of which there may be more than were found: what was told of them and is not here may well go on. */
  readonly cut: ReadonlySet<FleetRule>;
}

interface Kind {
  /** What it may find. */
  readonly rules: readonly FleetRule[];
  readonly list: (db: Db, now: Date) => Promise<readonly Occurrence[]>;
}

const kinds: readonly Kind[] = [
  { rules: ["Queue full", "Agent condition"], list: listAgentConditions },
  { rules: ["Agent identity"], list: listSuspected },
  { rules: ["Agent flapping"], list: listFlapping },
  { rules: ["Records dropped"], list: listDrops },
  { rules: ["Alerts not stored"], list: listUnstoredStates },
  { rules: ["Rollout paused", "Rollout failed"], list: listStoppedRollouts },
  { rules: ["Notification failed"], list: listDeadLetterStates },
];

/** What is wrong in the fleet now, as far as the database tells. */
export async function listFleetStates(db: Db, now: Date): Promise<FleetStates> {
  // One after the other: a transaction has one connection.
  const away = await listAgentsAway(db, now);
  const [found, cut]: [Occurrence[], FleetRule[]] = [[...away.found], [...away.cut]];
  for (const { rules, list } of kinds) {
    const states = await list(db, now);
    found.push(...states);
    if (states.length >= statesMax) cut.push(...rules);
  }
  const ahead = await listAhead(db, now);
  return { found: [...found, ...ahead.found], cut: new Set([...cut, ...ahead.cut]) };
}

/**
 * Agents that nothing is heard of. As `askedAgents` has it, one that was silent for a day beside others is taken for gone. One that said
 * goodbye has left, which is told without an alarm (its node may have been replaced, or somebody ended it there) only while another
 * of its cluster is heard of: the goodbye of the last that watched is an alarm, whatever silent ones there are beside it. Each has a
 * limit of its own, so that a great many nodes that are replaced leave room for the alarms.
 */
async function listAgentsAway(db: Db, now: Date): Promise<FleetStates> {
  const [silent, gone] = [before(now, silentAfterMs), before(now, goneAfterMs)];
  const ofCluster = sql`from agents o where o.cluster_id = a.cluster_id and o.revoked_at is null`;
  const { rows } = await db.execute<AwayRow>(sql`
    select * from (
      select *, row_number() over (partition by rule order by cluster, agent) as n
      from (
        select *, case when "left" is not null and "isWatched" then 'Agent left' else 'Agent silent' end as rule
        from (
          select a.name as agent, c.name as cluster, c.labels, a.last_seen_at as since, a.created_at as created,
            case when ${hasLeft(sql`a`, now)} then a.left_at end as "left",
            exists (select 1 ${ofCluster} and o.last_seen_at >= ${silent}::timestamptz) as "isWatched",
            exists (select 1 ${ofCluster} and o.last_seen_at >= ${gone}::timestamptz and not ${hasLeft(sql`o`, now)}) as "hasOthers"
          from agents a join clusters c on c.id = a.cluster_id
          where a.revoked_at is null and c.retired_at is null
            and (a.last_seen_at is null or a.last_seen_at < ${silent}::timestamptz) and a.created_at < ${silent}::timestamptz
        ) away where not "hasOthers" or since >= ${gone}::timestamptz
      ) told
    ) placed where n <= ${statesMax} order by rule desc, n`);
  const cut = awayRules.filter((rule) => rows.filter((row) => row.rule === rule).length >= statesMax);
  return { found: rows.map(awayState), cut: new Set(cut) };
}

const awayRules = ["Agent silent", "Agent left"] as const;

type AwayRow = AgentRow & {
  readonly rule: (typeof awayRules)[number];
  readonly since: string | null;
  readonly left: string | null;
  readonly created: string;
};

function awayState({ rule, agent, cluster, labels, since, left, created }: AwayRow): Occurrence {
  const sinceMs = Date.parse(left ?? since ?? created);
  const at = new Date(sinceMs).toISOString();
  const silent = since === null ? "was never heard of" : `was last heard of at ${at}`;
  const alone = rule === "Agent left" ? "has not come back" : "no other watches its cluster";
  const words = left === null ? silent : `left at ${at}, and ${alone}`;
  return fleetState({ rule, subject: agent, cluster, labels, sinceMs, words: `Agent ${agent} ${words}` });
}

/** What agents say is wrong with themselves, as it is shown. */
async function listAgentConditions(db: Db, now: Date): Promise<readonly Occurrence[]> {
  // What one that has left said last is over with it. What the server found is not: a copy might say goodbye, too.
  const isThere = sql`not ${hasLeft(sql`a`, now)}`;
  const rows = await listWrong<StoredCondition>(db, now, sql`a.conditions`, isThere);
  return rows.map((row) =>
    ofAgent(row.wrong.code === "input/waiting" ? "Queue full" : "Agent condition", row, now),
  );
}

/** What the server finds wrong with who speaks for agents. */
async function listSuspected(db: Db, now: Date): Promise<readonly Occurrence[]> {
  const where = sql`not ${isFlapping} and ${isFresh(now)}`;
  const rows = await listWrong<StoredSuspicion>(db, now, sql`a.suspicions`, where);
  return rows.map((row) => ofAgent("Agent identity", row, now));
}

/** By itself, because it may come over a whole fleet at once and is not to push out what else there is. */
async function listFlapping(db: Db, now: Date): Promise<readonly Occurrence[]> {
  const where = sql`${isFlapping} and ${isFresh(now)}`;
  const rows = await listWrong<StoredSuspicion>(db, now, sql`a.suspicions`, where);
  return rows.map((row) => ofAgent("Agent flapping", row, now));
}

type WrongRow<W> = AgentRow & { readonly wrong: W };

/** What stands in one of the lists of agents that are there, each element `e` of it that counts. */
async function listWrong<W>(db: Db, now: Date, list: SQL, counts: SQL): Promise<readonly WrongRow<W>[]> {
  const { rows } = await db.execute<WrongRow<W>>(sql`
    select a.name as agent, c.name as cluster, c.labels, e as wrong
    from agents a join clusters c on c.id = a.cluster_id cross join lateral jsonb_array_elements(${list}) e
    where a.revoked_at is null and c.retired_at is null and ${list} <> '[]' and ${counts}
      and a.last_seen_at >= ${before(now, goneAfterMs)}::timestamptz
    order by c.name, a.name limit ${statesMax}`);
  return rows;
}

function ofAgent(
  rule: FleetRule,
  { agent, cluster, labels, wrong: { code, message, since } }: WrongRow<StoredCondition>,
  now: Date,
): Occurrence {
  const sinceMs = Date.parse(since) || now.getTime();
  const words = `Agent ${agent}: ${code}: ${message}`;
  return fleetState({ rule, subject: `${agent} ${code}`, cluster, labels, sinceMs, words });
}

/** Clusters whose agents dropped records or alerts in the last minutes. */
async function listDrops(db: Db, now: Date): Promise<readonly Occurrence[]> {
  const { rows } = await db.execute<
    Omit<AgentRow, "agent"> & { readonly dropped: string; readonly since: string }
  >(sql`
    select c.name as cluster, c.labels, sum(r.dropped)::text as dropped, min(r.minute) as since
    from rates r join clusters c on c.id = r.cluster_id
    where r.minute >= ${before(now, droppedWithinMs)}::timestamptz and r.dropped > 0 and c.retired_at is null
    group by c.name, c.labels order by c.name limit ${statesMax}`);
  return rows.map(({ cluster, labels, dropped, since }) =>
    fleetState({
      rule: "Records dropped",
      subject: "",
      cluster: String(cluster),
      labels: labels as Labels,
      sinceMs: Date.parse(since),
      words: `Agents dropped ${roughCount(BigInt(dropped))} records in five minutes`,
    }),
  );
}

/** Clusters of which alerts of this hour or the last were only counted. */
async function listUnstoredStates(db: Db, now: Date): Promise<readonly Occurrence[]> {
  const rows = await listUnstored(db, now, statesMax);
  return rows.map(({ cluster, labels, count, rules, since }) => {
    // By name: which of them is the worst changes from look to look.
    const worst = rules.map((rule) => (rule === "" ? "others" : rule)).toSorted();
    return fleetState({
      rule: "Alerts not stored",
      subject: "",
      cluster,
      labels,
      sinceMs: since.getTime(),
      words: `${roughCount(count)} alerts of this hour and the last were counted and not stored, most of ${worst.join(", ")}`,
    });
  });
}

/** Alerts with times ahead that are looked at. */
const aheadMax = 10_000;

const hourMs = 3_600_000;

/** Clusters whose alerts have times that have not come yet. Those of retired clusters are looked at too, and may leave no room for others. */
async function listAhead(db: Db, now: Date): Promise<FleetStates> {
  const from = new Date(now.getTime() + clockSlackMs).toISOString();
  type Row = { cluster: string | null; labels: Labels; last: string; since: string; looked: number };
  const { rows } = await db.execute<Row>(sql`
    with looked as materialized (
      select cluster_id, time, received_at from alerts where time > ${from}::timestamptz order by time desc limit ${aheadMax}
    ), found as (
      select c.name as cluster, c.labels, max(a.time) as last, min(a.received_at) as since
      from looked a join clusters c on c.id = a.cluster_id where c.retired_at is null
      group by c.id order by c.name limit ${statesMax}
    )
    select found.*, n.looked from (select count(*)::int as looked from looked) n left join found on true order by found.cluster`);
  const rule = "Alerts ahead";
  const found = rows.flatMap(({ cluster, labels, last, since }) => {
    if (cluster === null) return [];
    // To the hour, so that a clock that runs on ahead is not another state at each look.
    const until = new Date(Math.ceil(Date.parse(last) / hourMs) * hourMs).toISOString();
    const words = `Alerts have times up to ${until}, which has not come yet: a clock there is ahead`;
    return [fleetState({ rule, subject: "", cluster, labels, sinceMs: Date.parse(since), words })];
  });
  const isCut = found.length >= statesMax || (rows[0]?.looked ?? 0) >= aheadMax;
  return { found, cut: new Set(isCut ? [rule] : []) };
}

/** Rollouts that wait for a person, and for a day those that went back. */
async function listStoppedRollouts(db: Db, now: Date): Promise<readonly Occurrence[]> {
  const { rows } = await db.execute<{ id: string; state: string; because: string; at: string }>(sql`
    select id, state, because, coalesce(finished_at, created_at) as at from rollouts
    where state in ('paused', 'rolling-back')
      or (state = 'rolled-back' and finished_at > ${before(now, failedWithinMs)}::timestamptz)
    order by created_at limit ${statesMax}`);
  return rows.map(({ id, state, because, at }) =>
    fleetState({
      rule: state === "paused" ? "Rollout paused" : "Rollout failed",
      subject: id,
      sinceMs: Date.parse(at),
      words: `Rollout ${id} is ${state}${because === "" ? "" : `: ${because}`}`,
    }),
  );
}

/** Receivers with messages that were given up: so that another receiver may tell of it. */
async function listDeadLetterStates(db: Db): Promise<readonly Occurrence[]> {
  const { rows } = await db.execute<{ receiver: string; count: string; since: string }>(sql`
    select receiver, count(*)::text as count, min(dead_at) as since from notification_deliveries
    where state = 'dead' group by receiver`);
  return rows.map(({ receiver, count, since }) =>
    fleetState({
      rule: "Notification failed",
      subject: receiver,
      sinceMs: Date.parse(since),
      words: `${roughCount(BigInt(count))} messages to receiver ${receiver} were given up: see fleetctl notify dead-letters list`,
    }),
  );
}
