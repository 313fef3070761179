import { and, eq, sql, type SQL } from "./drizzle.ts";

import type { BacktestEnds } from "../domain/backtest.ts";
import type { BacktestId, Digest } from "../domain/ids.ts";
import { goneAfterMs } from "../domain/liveness.ts";
import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import { isWholeFleet, type Scope } from "../domain/scope.ts";
import type { Selector } from "../domain/selector.ts";
import { param } from "./assignments.ts";
import { backtests } from "./backtest-schema.ts";
import {
  type CandidateProblem,
  type CandidateReport,
  problemsMax,
  reportNames,
  reportUpdate,
  reportValues,
} from "./candidate-reports.ts";
import { hasLeft } from "./left.ts";
import { notifyChanged } from "./notify.ts";
import type { Db, Transaction } from "./pool.ts";
import { labelsIn } from "./scopes.ts";
import { whereLabels } from "./selectors.ts";

/** A backtest as stored. */
export interface Backtest extends BacktestEnds {
  readonly id: BacktestId;
  readonly digest: Digest;
  readonly since: Date;
  readonly until: Date;
  readonly createdBy: string;
  readonly createdAt: Date;
}

/** What the agents of a cluster are to replay. */
export interface DesiredBacktest {
  readonly backtestId: BacktestId;
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly deadlineMs: number;
  readonly kind: "rules" | "layer";
  readonly path: string;
  readonly length: number;
  readonly digest: Digest;
}

/** Of the backtest `b`: that nobody ended it, and some agent has not. Its deadline is for whoever looks at a clock. */
const isOpen = sql`b.canceled_at is null and b.finished_at is null`;

/** As JSON, for the cluster `c`. */
export const desiredBacktest = sql`(select json_build_object('backtestId', b.id,
    'sinceMs', extract(epoch from b.since) * 1000, 'untilMs', extract(epoch from b.until) * 1000,
    'deadlineMs', extract(epoch from b.deadline_at) * 1000,
    'kind', x.kind, 'path', x.target_path, 'length', x.length, 'digest', x.digest)
  from backtests b join backtest_clusters bc on bc.backtest_id = b.id join bundles x on x.digest = b.digest
  where bc.cluster_id = c.id and ${isOpen} order by b.created_at desc limit 1)`;

/** Whether the bundle `b` is what a cluster is to replay. */
export function isBacktested(clusterId: string): SQL {
  return sql`exists (select 1 from backtests t join backtest_clusters bc on bc.backtest_id = t.id
    where bc.cluster_id = ${clusterId} and t.digest = b.digest and t.canceled_at is null and t.finished_at is null)`;
}

/** One backtest starts at a time, so that two never share a cluster. */
export async function lockBacktests(tx: Transaction): Promise<void> {
  await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended('falconry backtests', 0))`);
}

/** The clusters that a selector chooses within a scope, and the backtest that runs on one of them, if any. */
export async function chooseForBacktest(
  tx: Transaction,
  scope: Scope,
  selector: Selector,
  now: Date,
): Promise<{
  readonly ids: readonly string[];
  readonly busy: { id: string; name: string; until: Date } | undefined;
}> {
  const { rows } = await tx.execute<{
    id: string;
    name: string;
    busy: string | null;
    until: string | null;
  }>(sql`
    select c.id, c.name, r.id as busy, r.deadline_at as until
    from clusters c left join lateral (
      select b.id, b.deadline_at from backtests b join backtest_clusters bc on bc.backtest_id = b.id
      where bc.cluster_id = c.id and ${isOpen} and b.deadline_at > ${now.toISOString()}::timestamptz limit 1) r on true
    where c.retired_at is null and ${labelsIn(scope, "c")} and ${whereLabels(sql`c.labels`, selector)}
    order by c.name`);
  const found = rows.find(({ busy }) => busy !== null);
  return {
    ids: rows.map(({ id }) => id),
    busy: found && { id: found.busy ?? "", name: found.name, until: new Date(found.until ?? 0) },
  };
}

export async function insertBacktest(
  tx: Transaction,
  row: Omit<Backtest, "isCanceled" | "isFinished">,
  clusterIds: readonly string[],
): Promise<void> {
  const { deadlineMs, ...rest } = row;
  await tx.insert(backtests).values({ ...rest, deadlineAt: new Date(deadlineMs) });
  await tx.execute(sql`
    insert into backtest_clusters (backtest_id, cluster_id)
    select ${row.id}, x from unnest(${param(clusterIds)}::text[]) as x`);
  await touch(tx, row.id);
}

/** A backtest exists for a scope when one of its clusters does. */
export async function findBacktest(db: Db, scope: Scope, id: string): Promise<Outcome<Backtest>> {
  const seen = isWholeFleet(scope)
    ? undefined
    : sql`exists (select 1 from backtest_clusters bc join clusters c on c.id = bc.cluster_id
        where bc.backtest_id = ${backtests.id} and ${labelsIn(scope, "c")})`;
  const [row] = await db
    .select()
    .from(backtests)
    .where(and(eq(backtests.id, id), seen));
  if (row === undefined) return refuse({ kind: "not-found", what: "backtest", id });
  const { deadlineAt, canceledAt, finishedAt, ...rest } = row;
  return accept({
    ...(rest as Omit<Backtest, keyof BacktestEnds>),
    deadlineMs: deadlineAt.getTime(),
    isCanceled: canceledAt !== null,
    isFinished: finishedAt !== null,
  });
}

/** Whether all clusters of a backtest are in a scope. */
export async function holdsBacktest(db: Db, scope: Scope, id: BacktestId): Promise<boolean> {
  const { rows } = await db.execute(sql`
    select 1 from backtest_clusters bc join clusters c on c.id = bc.cluster_id
    where bc.backtest_id = ${id} and not coalesce(${labelsIn(scope, "c")}, false) limit 1`);
  return rows.length === 0;
}

export async function cancelBacktest(tx: Transaction, id: BacktestId, now: Date): Promise<void> {
  await tx.execute(sql`
    update backtests b set canceled_at = ${now.toISOString()}::timestamptz where b.id = ${id} and ${isOpen}`);
  await touch(tx, id);
}

/** Makes every server look again at what it wants of the clusters of a backtest. */
async function touch(db: Db, id: string): Promise<void> {
  await db.execute(sql`
    update clusters c set changed = nextval('change_seq') from backtest_clusters bc
    where bc.backtest_id = ${id} and bc.cluster_id = c.id`);
  await notifyChanged(db);
}

/** What an agent reports of a backtest, in bounds. */
export interface BacktestRow extends CandidateReport {
  readonly backtestId: string;
  readonly bytesDone: bigint;
  readonly bytesTotal: bigint;
  readonly missing: bigint;
  readonly oldest: Date | undefined;
}

/** The last reports may come a little after the deadline. */
const graceMs = 60_000;
const final = sql`('done', 'stopped', 'refused')`;

/** Stores what an agent reports, while its cluster is in such a backtest that runs. When it was the last, that ends. */
export async function storeBacktest(db: Db, row: BacktestRow, now: Date): Promise<void> {
  const at = (ms: number) => sql`${new Date(now.getTime() - ms).toISOString()}::timestamptz`;
  const { rowCount } = await db.execute(sql`
    insert into backtest_reports (backtest_id, ${reportNames}, bytes_done, bytes_total, missing, oldest)
    select b.id, ${reportValues(row, now)}, ${String(row.bytesDone)}::bigint, ${String(row.bytesTotal)}::bigint,
      ${String(row.missing)}::bigint, ${row.oldest?.toISOString() ?? null}::timestamptz
    from backtests b join backtest_clusters bc on bc.backtest_id = b.id
    where b.id = ${row.backtestId} and bc.cluster_id = ${row.clusterId} and ${isOpen}
      and b.deadline_at > ${at(graceMs)}
    on conflict (backtest_id, agent_id) do update set ${reportUpdate}, bytes_done = excluded.bytes_done,
      bytes_total = excluded.bytes_total, missing = excluded.missing, oldest = excluded.oldest`);
  if (rowCount === 0 || !isFinal(row.state)) return;
  // A statement of its own: of two that report at once, the later one sees both.
  const ended = await db.execute(sql`
    update backtests b set finished_at = ${at(0)} where b.id = ${row.backtestId} and ${isOpen}
      and not exists (select 1 from backtest_clusters bc join agents g on g.cluster_id = bc.cluster_id
        where bc.backtest_id = b.id and g.revoked_at is null and g.last_seen_at > ${at(goneAfterMs)}
          and not ${hasLeft(sql`g`, now)}
          and not exists (select 1 from backtest_reports s
            where s.backtest_id = b.id and s.agent_id = g.id and s.state in ${final}))`);
  if (ended.rowCount === 1) await touch(db, row.backtestId);
}

function isFinal(state: string): boolean {
  return state === "done" || state === "stopped" || state === "refused";
}

/** How far a backtest is, over the clusters of a scope. */
export interface BacktestProgress {
  readonly clusters: number;
  readonly agents: number;
  readonly answered: number;
  readonly ended: number;
  readonly bytesDone: bigint;
  readonly bytesTotal: bigint;
  readonly missing: bigint;
}

export async function readProgress(db: Db, scope: Scope, id: BacktestId): Promise<BacktestProgress> {
  const { rows } = await db.execute<
    Record<"clusters" | "agents" | "answered" | "ended", number> & Record<string, unknown>
  >(
    sql`
    select count(distinct c.id)::int as clusters, count(g.id)::int as agents, count(s.agent_id)::int as answered,
      count(*) filter (where s.state in ${final})::int as ended,
      coalesce(sum(s.bytes_done), 0)::text as "bytesDone", coalesce(sum(s.bytes_total), 0)::text as "bytesTotal",
      coalesce(sum(s.missing), 0)::text as missing
    from backtest_clusters bc join clusters c on c.id = bc.cluster_id
      left join agents g on g.cluster_id = c.id and g.revoked_at is null
      left join backtest_reports s on s.backtest_id = bc.backtest_id and s.agent_id = g.id
    where bc.backtest_id = ${id} and ${labelsIn(scope, "c")}`,
  );
  const [row] = rows;
  if (row === undefined) throw new Error("A count without a row");
  const { clusters, agents, answered, ended } = row;
  const big = (name: string) => BigInt(String(row[name]));
  const sums = { bytesDone: big("bytesDone"), bytesTotal: big("bytesTotal"), missing: big("missing") };
  return { clusters, agents, answered, ended, ...sums };
}

/** Agents that did not answer so far, with when they were heard of. */
export async function listSilent(
  db: Db,
  scope: Scope,
  id: BacktestId,
): Promise<
  readonly (Pick<CandidateProblem, "clusterName" | "agentName"> & { readonly lastSeen: string | null })[]
> {
  const { rows } = await db.execute<{ clusterName: string; agentName: string; lastSeen: string | null }>(sql`
    select c.name as "clusterName", g.name as "agentName", g.last_seen_at as "lastSeen"
    from backtest_clusters bc join clusters c on c.id = bc.cluster_id
      join agents g on g.cluster_id = c.id and g.revoked_at is null
    where bc.backtest_id = ${id} and ${labelsIn(scope, "c")} and not exists (select 1 from backtest_reports s
      where s.backtest_id = bc.backtest_id and s.agent_id = g.id)
    order by c.name, g.name limit ${problemsMax}`);
  return rows;
}

/** Forgets backtests that were started before a time, with all that was reported. */
export async function removeOldBacktests(db: Db, before: Date): Promise<number> {
  const gone = await db.execute(
    sql`delete from backtests where created_at < ${before.toISOString()}::timestamptz`,
  );
  return gone.rowCount ?? 0;
}
