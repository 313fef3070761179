import { desc, eq, sql } from "drizzle-orm";

import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import type { AuditNote } from "./audit-entries.ts";
import type { Database, Db } from "./pool.ts";
import { joinTokens } from "./schema.ts";

export type JoinToken = typeof joinTokens.$inferSelect;

export async function insertJoinToken(
  db: Database,
  token: typeof joinTokens.$inferInsert,
  note: AuditNote,
): Promise<JoinToken> {
  return db.transaction(async (tx) => {
    const [row] = await tx.insert(joinTokens).values(token).returning();
    if (row === undefined) throw new Error("An insert answered without its row");
    await note(tx, { target: row.id });
    return row;
  });
}

/** Newest first. */
export async function listJoinTokens(db: Db, max: number): Promise<readonly JoinToken[]> {
  return db.select().from(joinTokens).orderBy(desc(joinTokens.createdAt), joinTokens.id).limit(max);
}

/** Revokes for good; revoking again keeps the first time. */
export async function revokeJoinToken(
  db: Database,
  id: string,
  now: Date,
  note: AuditNote,
): Promise<Outcome<JoinToken>> {
  return db.transaction(async (tx) => {
    const [row] = await tx
      .update(joinTokens)
      .set({ revokedAt: sql`coalesce(${joinTokens.revokedAt}, ${now.toISOString()}::timestamptz)` })
      .where(eq(joinTokens.id, id))
      .returning();
    if (row === undefined) return refuse({ kind: "not-found", what: "join token", id: id.slice(0, 80) });
    await note(tx, { target: row.id });
    return accept(row);
  });
}
