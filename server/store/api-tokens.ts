import { and, desc, eq, isNull, lt, or, sql } from "drizzle-orm";

import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import type { AuditNote } from "./audit-entries.ts";
import type { Database, Db } from "./pool.ts";
import { apiTokens } from "./schema.ts";

export type ApiToken = typeof apiTokens.$inferSelect;

export async function findApiToken(db: Db, id: string): Promise<ApiToken | undefined> {
  const [row] = await db.select().from(apiTokens).where(eq(apiTokens.id, id));
  return row;
}

export async function insertApiToken(db: Db, token: typeof apiTokens.$inferInsert): Promise<void> {
  await db.insert(apiTokens).values(token);
}

/** Newest first. */
export async function listApiTokens(db: Db, max: number): Promise<readonly ApiToken[]> {
  return db.select().from(apiTokens).orderBy(desc(apiTokens.createdAt), apiTokens.id).limit(max);
}

/** Revokes for good; revoking again keeps the first time. */
export async function revokeApiToken(
  db: Database,
  id: string,
  now: Date,
  note: AuditNote,
): Promise<Outcome<ApiToken>> {
  return db.transaction(async (tx) => {
    const [row] = await tx
      .update(apiTokens)
      .set({ revokedAt: sql`coalesce(${apiTokens.revokedAt}, ${now.toISOString()}::timestamptz)` })
      .where(eq(apiTokens.id, id))
      .returning();
    if (row === undefined) return refuse({ kind: "not-found", what: "API token", id });
    await note(tx, { target: row.id });
    return accept(row);
  });
}

/** Notes that a token was used, at most once a minute, so that reading does not become writing. */
export async function touchApiToken(db: Db, id: string, now: Date): Promise<void> {
  const aMinuteAgo = new Date(now.getTime() - 60_000);
  await db
    .update(apiTokens)
    .set({ lastUsedAt: now })
    .where(and(eq(apiTokens.id, id), or(isNull(apiTokens.lastUsedAt), lt(apiTokens.lastUsedAt, aMinuteAgo))));
}
