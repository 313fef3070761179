import { and, asc, desc, eq, getTableColumns, inArray, lt, sql, type SQL } from "./drizzle.ts";

import type { Message } from "../domain/notify/message.ts";
import { takeTurn } from "../domain/notify/retry.ts";
import { param } from "./assignments.ts";
import type { AuditNote } from "./audit-entries.ts";
import type { Database, Db, Transaction } from "./pool.ts";
import { notificationDeliveries, notificationReceivers } from "./schema.ts";
import type { ReceiverRow } from "./notification-receivers.ts";

export type DeliveryRow = typeof notificationDeliveries.$inferSelect;

/** Messages that wait for one receiver; with so many, groups go on gathering instead. */
export const waitingMax = 100;
/** Messages that were given up and are kept for one receiver; of more the oldest go. */
const deadMax = 1_000;

export async function insertDelivery(tx: Db, message: Message, receiver: string, now: Date): Promise<void> {
  const { id, route } = message;
  await tx
    .insert(notificationDeliveries)
    .values({ id, receiver, route, message, state: "waiting", dueAt: now, createdAt: now });
}

/** How many messages wait, by receiver. */
export async function countWaiting(db: Db): Promise<ReadonlyMap<string, number>> {
  const { rows } = await db.execute<{ receiver: string; count: number }>(sql`
    select receiver, count(*)::int as count from notification_deliveries where state = 'waiting' group by receiver`);
  return new Map(rows.map(({ receiver, count }) => [receiver, count]));
}

/** A message that this server has to send now, and nobody else before the lease is over. */
export interface Claimed {
  readonly delivery: DeliveryRow;
  readonly receiver: ReceiverRow;
}

/** What this server can still carry at once. */
export interface ClaimRoom {
  /** Receivers that get nothing more now. */
  readonly busy: readonly string[];
  readonly left: (receiver: string) => number;
  /** Most for one receiver. */
  readonly perReceiver: number;
}

/**
 * Takes messages whose time has come and whose receivers may take one more, oldest first. The attempt counts from here on: a server
 * that dies in it has made one. Of a receiver with many, or at its rate, no more are looked at than it may take: the others' are not
 * behind them.
 */
export async function claimDeliveries(
  db: Database,
  now: Date,
  leaseMs: number,
  max: number,
  roomOf: ClaimRoom,
): Promise<readonly Claimed[]> {
  if (max <= 0) return [];
  return db.transaction(async (tx) => {
    const due = await tx
      .select()
      .from(notificationDeliveries)
      .where(and(eq(notificationDeliveries.state, "waiting"), mayGo(now, roomOf)))
      .orderBy(asc(notificationDeliveries.dueAt), asc(notificationDeliveries.id))
      .limit(max)
      .for("update", { skipLocked: true });
    const names = [...new Set(due.map(({ receiver }) => receiver))].toSorted();
    if (names.length === 0) return [];
    const receivers = await tx
      .select()
      .from(notificationReceivers)
      .where(inArray(notificationReceivers.name, names))
      .orderBy(asc(notificationReceivers.name))
      .for("update");
    const claimed: Claimed[] = [];
    for (const receiver of receivers) {
      const theirs = due
        .filter((each) => each.receiver === receiver.name)
        .slice(0, roomOf.left(receiver.name));
      claimed.push(...(await claimOf(tx, receiver, theirs, now, leaseMs)));
    }
    return claimed;
  });
}

/** The first messages of each receiver that may take one now, as `takeTurn` has it. */
function mayGo(now: Date, { busy, perReceiver }: ClaimRoom): SQL {
  const at = sql`${now.toISOString()}::timestamptz`;
  return sql`${notificationDeliveries.id} in (
    select first.id from notification_receivers r cross join lateral (
      select d.id from notification_deliveries d
      where d.receiver = r.name and d.state = 'waiting' and d.due_at <= ${at}
      order by d.due_at, d.id limit ${perReceiver}
    ) first
    where r.name <> all(${param(busy)}::text[])
      and greatest(r.busy_until, ${at}) + interval '1 minute' / r.per_minute <= ${at} + interval '1 minute')`;
}

async function claimOf(
  tx: Transaction,
  receiver: ReceiverRow,
  due: readonly DeliveryRow[],
  now: Date,
  leaseMs: number,
): Promise<readonly Claimed[]> {
  const claimed: Claimed[] = [];
  const nowMs = now.getTime();
  let busyUntilMs = receiver.busyUntil.getTime();
  for (const delivery of due) {
    const turn = takeTurn(busyUntilMs, receiver.perMinute, nowMs);
    busyUntilMs = turn.busyUntilMs;
    const attempts = delivery.attempts + (turn.isFree ? 1 : 0);
    const dueAt = new Date(nowMs + (turn.isFree ? leaseMs : 60_000 / receiver.perMinute));
    await tx
      .update(notificationDeliveries)
      .set({ attempts, dueAt })
      .where(eq(notificationDeliveries.id, delivery.id));
    if (turn.isFree) claimed.push({ delivery: { ...delivery, attempts, dueAt }, receiver });
  }
  await tx
    .update(notificationReceivers)
    .set({ busyUntil: new Date(busyUntilMs) })
    .where(eq(notificationReceivers.name, receiver.name));
  return claimed;
}

/** That an attempt is still the newest one: a slow server changes nothing that another took over. */
const attempt = ({ id, attempts }: DeliveryRow) =>
  and(
    eq(notificationDeliveries.id, id),
    eq(notificationDeliveries.attempts, attempts),
    eq(notificationDeliveries.state, "waiting"),
  );

/** What was delivered needs no place any more. */
export async function removeDelivered(db: Db, delivery: DeliveryRow): Promise<void> {
  await db.delete(notificationDeliveries).where(attempt(delivery));
}

export async function postponeDelivery(
  db: Db,
  delivery: DeliveryRow,
  dueAt: Date,
  failure: string,
): Promise<void> {
  await db
    .update(notificationDeliveries)
    .set({ dueAt, failure: failure.slice(0, 500) })
    .where(attempt(delivery));
}

/** Gives a message up: it becomes a dead letter, which people see and may send again. */
export async function buryDelivery(db: Db, delivery: DeliveryRow, now: Date, failure: string): Promise<void> {
  await db
    .update(notificationDeliveries)
    .set({ state: "dead", deadAt: now, failure: failure.slice(0, 500) })
    .where(attempt(delivery));
}

/** Newest first, without the texts of reports, which may be long. */
export async function listDeadLetters(
  db: Db,
  receiver: string,
  max: number,
): Promise<readonly DeliveryRow[]> {
  const named = receiver === "" ? undefined : eq(notificationDeliveries.receiver, receiver);
  const message = sql<Message>`${notificationDeliveries.message} #- '{report,text}'`;
  return db
    .select({ ...getTableColumns(notificationDeliveries), message })
    .from(notificationDeliveries)
    .where(and(eq(notificationDeliveries.state, "dead"), named))
    .orderBy(desc(notificationDeliveries.deadAt), notificationDeliveries.id)
    .limit(max);
}

/** Has dead letters sent again, from the first attempt on: those of these ids, or all of a receiver. Answers with how many. */
export async function retryDeadLetters(
  db: Database,
  which: { readonly ids: readonly string[]; readonly receiver: string },
  now: Date,
  note: AuditNote,
): Promise<number> {
  return db.transaction(async (tx) => {
    const chosen =
      which.ids.length > 0
        ? inArray(notificationDeliveries.id, [...which.ids])
        : eq(notificationDeliveries.receiver, which.receiver);
    const revived = await tx
      .update(notificationDeliveries)
      .set({ state: "waiting", attempts: 0, dueAt: now, deadAt: null })
      .where(and(eq(notificationDeliveries.state, "dead"), chosen))
      .returning({ id: notificationDeliveries.id });
    await note(tx, { target: which.ids.length > 0 ? which.ids.slice(0, 8).join(" ") : which.receiver });
    return revived.length;
  });
}

/** Dead letters that are old or too many. Answers with how many went. */
export async function removeDeadLetters(db: Db, diedBefore: Date): Promise<number> {
  const old = await db
    .delete(notificationDeliveries)
    .where(and(eq(notificationDeliveries.state, "dead"), lt(notificationDeliveries.deadAt, diedBefore)));
  const many = await db.execute(sql`
    delete from notification_deliveries where id in (
      select id from (
        select id, row_number() over (partition by receiver order by dead_at desc, id) as place
        from notification_deliveries where state = 'dead'
      ) ranked where place > ${deadMax})`);
  return (old.rowCount ?? 0) + (many.rowCount ?? 0);
}

/** How many messages wait, and how many were given up. */
export async function countDeliveries(db: Db): Promise<{ readonly waiting: number; readonly dead: number }> {
  const { rows } = await db.execute<{ waiting: number; dead: number }>(sql`
    select (count(*) filter (where state = 'waiting'))::int as waiting,
      (count(*) filter (where state = 'dead'))::int as dead from notification_deliveries`);
  return rows[0] ?? { waiting: 0, dead: 0 };
}
