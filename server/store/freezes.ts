import { and, desc, eq, gt, isNull, or, sql } from "./drizzle.ts";

import type { Freeze } from "../domain/people/hold.ts";
import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import { notifyChanged } from "./notify.ts";
import type { Db, Transaction } from "./pool.ts";
import { freezes } from "./schema.ts";

export type FreezeRow = typeof freezes.$inferSelect;

const shownMax = 20;
const key = sql`hashtextextended('falconry freeze', 0)`;

/** The freeze that holds now. */
export async function findFreeze(db: Db, now: Date): Promise<FreezeRow | undefined> {
  const [row] = await db
    .select()
    .from(freezes)
    .where(and(isNull(freezes.liftedAt), or(isNull(freezes.untilAt), gt(freezes.untilAt, now))));
  return row;
}

export function toFreeze({ reason, createdBy, untilAt }: FreezeRow): Freeze {
  return { reason, by: createdBy, ...(untilAt === null ? {} : { untilMs: untilAt.getTime() }) };
}

/** Newest first, those that ended by themselves or by somebody, and the one that holds. */
export async function listFreezes(db: Db): Promise<readonly FreezeRow[]> {
  return db
    .select()
    .from(freezes)
    .orderBy(desc(freezes.id))
    .limit(shownMax + 1);
}

/**
 * For who lets a wave begin: whether the fleet is frozen. Nobody freezes it between this and the end of the transaction,
 * so that after a freeze was answered no server begins a wave.
 */
export async function lockFreeze(tx: Transaction, now: Date): Promise<FreezeRow | undefined> {
  await tx.execute(sql`select pg_advisory_xact_lock_shared(${key})`);
  return findFreeze(tx, now);
}

/** Freezes the fleet, in place of a freeze that is there. Waits for waves that begin at this moment. */
export async function insertFreeze(
  tx: Transaction,
  freeze: { readonly reason: string; readonly by: string; readonly until?: Date },
  now: Date,
): Promise<FreezeRow> {
  await tx.execute(sql`select pg_advisory_xact_lock(${key})`);
  await tx.update(freezes).set({ liftedAt: now, liftedBy: freeze.by }).where(isNull(freezes.liftedAt));
  const [row] = await tx
    .insert(freezes)
    .values({ reason: freeze.reason, createdBy: freeze.by, createdAt: now, untilAt: freeze.until ?? null })
    .returning();
  await notifyChanged(tx);
  if (row === undefined) throw new Error("The freeze was not stored");
  return row;
}

export async function liftFreeze(tx: Transaction, by: string, now: Date): Promise<Outcome<FreezeRow>> {
  await tx.execute(sql`select pg_advisory_xact_lock(${key})`);
  const holding = await findFreeze(tx, now);
  if (holding === undefined) return refuse({ kind: "precondition", why: "The fleet is not frozen" });
  const [row] = await tx
    .update(freezes)
    .set({ liftedAt: now, liftedBy: by })
    .where(eq(freezes.id, holding.id))
    .returning();
  await notifyChanged(tx);
  return accept(row ?? holding);
}
