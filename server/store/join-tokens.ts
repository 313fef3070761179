import { desc, eq, sql } from "drizzle-orm";

import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import type { Db } from "./pool.ts";
import { joinTokens } from "./schema.ts";

export type JoinToken = typeof joinTokens.$inferSelect;

export async function insertJoinToken(db: Db, token: typeof joinTokens.$inferInsert): Promise<JoinToken> {
  const [row] = await db.insert(joinTokens).values(token).returning();
  if (row === undefined) throw new Error("An insert answered without its row");
  return row;
}

/** Newest first. */
export async function listJoinTokens(db: Db, max: number): Promise<readonly JoinToken[]> {
  return db.select().from(joinTokens).orderBy(desc(joinTokens.createdAt), joinTokens.id).limit(max);
}

/** Revokes for good; revoking again keeps the first time. */
export async function revokeJoinToken(db: Db, id: string, now: Date): Promise<Outcome<JoinToken>> {
  const [row] = await db
    .update(joinTokens)
    .set({ revokedAt: sql`coalesce(${joinTokens.revokedAt}, ${now.toISOString()}::timestamptz)` })
    .where(eq(joinTokens.id, id))
    .returning();
  return row === undefined
    ? refuse({ kind: "not-found", what: "join token", id: id.slice(0, 80) })
    : accept(row);
}
