import { and, count, desc, eq, gt, isNotNull, isNull, lt, or, sql } from "./drizzle.ts";

import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import { isWholeFleet, isWithin, type Scope } from "../domain/scope.ts";
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

/** So many are looked through for those that exist for a scope. */
const lookedThroughMax = 20_000;

/** Those within a scope, newest first. Logins that are over are left out: there are many, and nothing to do about them. */
export async function listApiTokens(
  db: Db,
  scope: Scope,
  max: number,
  now: Date,
): Promise<readonly ApiToken[]> {
  const isUsable = and(isNull(apiTokens.revokedAt), gt(apiTokens.expiresAt, now));
  const rows = await db
    .select()
    .from(apiTokens)
    .where(or(isNull(apiTokens.issuer), isUsable))
    .orderBy(desc(apiTokens.createdAt), apiTokens.id)
    .limit(isWholeFleet(scope) ? max : lookedThroughMax);
  return rows.filter((row) => isWithin(row.scope, scope)).slice(0, max);
}

/** Revokes for good; revoking again keeps the first time. A scope never changes, so it may be looked at before. */
export async function revokeApiToken(
  db: Database,
  scope: Scope,
  id: string,
  now: Date,
  note: AuditNote,
): Promise<Outcome<ApiToken>> {
  return db.transaction(async (tx) => {
    const found = await findApiToken(tx, id);
    if (found === undefined || !isWithin(found.scope, scope)) return noToken(id);
    const [row] = await tx
      .update(apiTokens)
      .set({ revokedAt: sql`coalesce(${apiTokens.revokedAt}, ${now.toISOString()}::timestamptz)` })
      .where(eq(apiTokens.id, id))
      .returning();
    if (row === undefined) return noToken(id);
    await note(tx, { target: row.id });
    return accept(row);
  });
}

function noToken(id: string) {
  return refuse({ kind: "not-found", what: "API token", id: id.slice(0, 80) });
}

/** How many logins of an identity can be used now. */
export async function countLogins(
  db: Db,
  { issuer, subject }: { readonly issuer: string; readonly subject: string },
  now: Date,
): Promise<number> {
  const [row] = await db
    .select({ count: count() })
    .from(apiTokens)
    .where(
      and(
        eq(apiTokens.issuer, issuer),
        eq(apiTokens.subject, subject),
        gt(apiTokens.expiresAt, now),
        isNull(apiTokens.revokedAt),
      ),
    );
  return row?.count ?? 0;
}

/** Removes logins that ended before a time. API tokens are kept: an admin looks for those that are long expired. */
export async function removeLogins(db: Db, endedBefore: Date): Promise<void> {
  await db.delete(apiTokens).where(and(isNotNull(apiTokens.issuer), lt(apiTokens.expiresAt, endedBefore)));
}

/** Notes that a token was used, at most once a minute, so that reading does not become writing. */
export async function touchApiToken(db: Db, id: string, now: Date): Promise<void> {
  const aMinuteAgo = new Date(now.getTime() - 60_000);
  await db
    .update(apiTokens)
    .set({ lastUsedAt: now })
    .where(and(eq(apiTokens.id, id), or(isNull(apiTokens.lastUsedAt), lt(apiTokens.lastUsedAt, aMinuteAgo))));
}
