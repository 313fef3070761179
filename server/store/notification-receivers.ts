import { asc, eq, sql } from "./drizzle.ts";

import type { Receiver } from "../domain/notify/receiver.ts";
import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import type { AuditNote } from "./audit-entries.ts";
import { uniqueViolation, type Database, type Db } from "./pool.ts";
import { notificationReceivers, notificationRoutes, reportSchedules } from "./schema.ts";

export type ReceiverRow = typeof notificationReceivers.$inferSelect;

/** A receiver with what is on its way there. */
export interface ReceiverView extends ReceiverRow {
  readonly waiting: number;
  readonly dead: number;
}

/** More than anybody has; a listing shows all. */
export const receiversMax = 100;

/** What secrets are kept as: sealed, by the key of this id; names of them for people. */
export interface Sealed {
  readonly sealed: Uint8Array | null;
  readonly sealKey: string | null;
  readonly secretNames: string[];
}

export interface NewReceiver {
  readonly receiver: Receiver;
  readonly sealed: Sealed;
  readonly now: Date;
  readonly by: string;
}

/** Adds a receiver, or with `replace` takes the place of the one of this name; what waits is sent to the new one. */
export async function putReceiver(
  db: Database,
  { receiver, sealed, now, by }: NewReceiver,
  replace: boolean,
  note: AuditNote,
): Promise<Outcome<ReceiverRow>> {
  const values = { ...receiver, ...sealed, busyUntil: now, createdAt: now, createdBy: by };
  try {
    return await db.transaction(async (tx) => {
      const [counted] = await tx.select({ count: sql<number>`count(*)::int` }).from(notificationReceivers);
      const count = counted?.count ?? 0;
      if (count >= receiversMax && !replace) {
        return refuse({ kind: "over-limit", why: `There are ${count} receivers` });
      }
      const insert = tx.insert(notificationReceivers).values(values);
      const [row] = await (
        replace
          ? insert.onConflictDoUpdate({
              target: notificationReceivers.name,
              set: { ...values, failure: "", failedAt: null },
            })
          : insert
      ).returning();
      if (row === undefined) throw new Error("An insert answered without its row");
      await note(tx, { target: row.name });
      return accept(row);
    });
  } catch (error) {
    if (uniqueViolation(error) === undefined) throw error;
    const why = "take another name, or replace it";
    return refuse({ kind: "already-exists", what: "receiver", id: receiver.name, why });
  }
}

export async function findReceiver(db: Db, name: string): Promise<Outcome<ReceiverRow>> {
  const [row] = await db.select().from(notificationReceivers).where(eq(notificationReceivers.name, name));
  return row === undefined
    ? refuse({ kind: "not-found", what: "receiver", id: name.slice(0, 80) })
    : accept(row);
}

export async function listReceivers(db: Db): Promise<readonly ReceiverView[]> {
  const rows = await db
    .select()
    .from(notificationReceivers)
    .orderBy(asc(notificationReceivers.name))
    .limit(receiversMax);
  const { rows: counts } = await db.execute<{ receiver: string; waiting: number; dead: number }>(sql`
    select receiver, (count(*) filter (where state = 'waiting'))::int as waiting,
      (count(*) filter (where state = 'dead'))::int as dead
    from notification_deliveries group by receiver`);
  const byName = new Map(counts.map((each) => [each.receiver, each]));
  return rows.map((row) => {
    const { waiting = 0, dead = 0 } = byName.get(row.name) ?? {};
    return { ...row, waiting, dead };
  });
}

/** Removes a receiver that no route or report schedule leads to, with what waits for it and its dead letters. */
export async function removeReceiver(db: Database, name: string, note: AuditNote): Promise<Outcome<true>> {
  return db.transaction(async (tx) => {
    const leading = await tx.execute<{ name: string }>(sql`
      select 'route ' || name as name from ${notificationRoutes} where receiver = ${name}
      union all select 'report schedule ' || name from ${reportSchedules} where receiver = ${name} order by 1`);
    if (leading.rows.length > 0) {
      const names = leading.rows.map((each) => each.name).join(", ");
      return refuse({
        kind: "precondition",
        why: `Something leads to "${name}": remove it first (${names})`,
      });
    }
    const gone = await tx
      .delete(notificationReceivers)
      .where(eq(notificationReceivers.name, name))
      .returning({ name: notificationReceivers.name });
    if (gone.length === 0) return refuse({ kind: "not-found", what: "receiver", id: name.slice(0, 80) });
    await note(tx, { target: name });
    return accept(true);
  });
}

/** Receivers whose secrets another key than this one sealed. */
export async function listReceiversSealedByOthers(db: Db, keyId: string): Promise<readonly ReceiverRow[]> {
  return db
    .select()
    .from(notificationReceivers)
    .where(sql`${notificationReceivers.sealKey} <> ${keyId}`);
}

/** Puts other sealed bytes in the place of those that were read; not when somebody replaced the receiver meanwhile. */
export async function resealReceiver(db: Db, before: ReceiverRow, after: Sealed): Promise<void> {
  await db
    .update(notificationReceivers)
    .set(after)
    .where(
      sql`${notificationReceivers.name} = ${before.name} and ${notificationReceivers.sealKey} = ${before.sealKey}
        and ${notificationReceivers.createdAt} = ${before.createdAt.toISOString()}::timestamptz`,
    );
}

/** Keeps what the last attempt to reach a receiver came to, for people. */
export async function noteReached(
  db: Db,
  name: string,
  now: Date,
  failure: string | undefined,
): Promise<void> {
  await db
    .update(notificationReceivers)
    .set(
      failure === undefined
        ? { sentAt: now, failure: "" }
        : { failedAt: now, failure: failure.slice(0, 500) },
    )
    .where(eq(notificationReceivers.name, name));
}
