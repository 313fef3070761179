import { eq, sql } from "./drizzle.ts";

import type { AlertFacts } from "../domain/alert-matcher.ts";
import type { Occurrence } from "../domain/notify/group.ts";
import { alertGroupId } from "./alert-intake.ts";
import { lastArrival } from "./alerts.ts";
import type { Db, Transaction } from "./pool.ts";
import { notificationCursor } from "./schema.ts";

export type Cursor = Omit<typeof notificationCursor.$inferSelect, "id">;

/**
 * Where the database stands, for a transaction that has read `lastArrival` already: transactions before `xmin` have ended, and who
 * took a place up to that arrival stands before `xid`, because alerts are stored by transactions that get their number first.
 */
export interface Horizon {
  readonly xmin: bigint;
  /** Of this transaction itself. What a snapshot tells ends with the last that has ended, and says nothing of those that run beyond. */
  readonly xid: bigint;
}

export async function readHorizon(tx: Db): Promise<Horizon> {
  // A Postgres may serve other databases, whose transactions cannot write here. That one is theirs the lock on it tells, which everybody
  // may see; where nothing tells, it counts as ours, and is waited for.
  const { rows } = await tx.execute<{ xmin: string; xid: string }>(sql`
    select pg_current_xact_id()::text as xid, coalesce(
      (select min(x::text::bigint) from pg_snapshot_xip(s) x where not exists (
        select from pg_locks l join pg_stat_activity a on a.pid = l.pid join pg_database d on d.oid = a.datid
        where l.locktype = 'transactionid' and l.mode = 'ExclusiveLock' and l.transactionid = x::xid
          and d.datname <> current_database())),
      pg_snapshot_xmax(s)::text::bigint)::text as xmin
    from pg_current_snapshot() s`);
  const [row] = rows;
  if (row === undefined) throw new Error("The database told no snapshot");
  return { xmin: BigInt(row.xmin), xid: BigInt(row.xid) };
}

/** The cursor, for this transaction alone; undefined while another server has it. The first one begins with what comes from now on. */
export async function takeCursor(tx: Transaction): Promise<Cursor | undefined> {
  const find = () => tx.select().from(notificationCursor).where(eq(notificationCursor.id, 1));
  const [any] = await find();
  if (any === undefined) {
    const last = await lastArrival(tx);
    const begun = { id: 1, arrival: last, seenArrival: last, seenXid: 0n, lookedAt: new Date(0) };
    await tx.insert(notificationCursor).values(begun).onConflictDoNothing();
  }
  const [row] = await find().for("update", { skipLocked: true });
  return row;
}

export async function saveCursor(tx: Transaction, cursor: Cursor): Promise<void> {
  await tx.update(notificationCursor).set(cursor).where(eq(notificationCursor.id, 1));
}

type AlertRow = AlertFacts & {
  readonly arrival: string;
  readonly at: string;
  readonly id: string;
  readonly auditId: string;
  readonly clusterId: string;
} & Record<string, unknown>;

/** Alerts in the order of arrival, after one place and up to another, with the labels that their clusters have now. */
export async function listArrived(
  tx: Db,
  after: bigint,
  upTo: bigint,
  max: number,
): Promise<readonly (Occurrence & { readonly arrival: bigint })[]> {
  const { rows } = await tx.execute<AlertRow>(sql`
    select a.arrival::text as arrival, a.time as at, a.rule, a.priority, a.source, a.output, a.tags, a.actor, a.fields,
      a.id, a.audit_id as "auditId", a.cluster_id as "clusterId", c.name as cluster, c.labels
    from alerts a join clusters c on c.id = a.cluster_id
    where a.arrival > ${after} and a.arrival <= ${upTo} order by a.arrival limit ${max}`);
  return rows.map(({ arrival, at, id, auditId, clusterId, ...row }) => {
    const { rule, priority, source, output, tags, actor, fields, cluster, labels } = row;
    const facts = { rule, priority, source, output, tags, actor, fields, cluster, labels };
    const alert = { groupId: alertGroupId(clusterId, rule, actor), id, auditId };
    return { arrival: BigInt(arrival), kind: "alert", subject: "", atMs: Date.parse(at), facts, alert };
  });
}
