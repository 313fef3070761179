import { and, desc, eq, sql, type SQL } from "./drizzle.ts";

import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import type { Scope } from "../domain/scope.ts";
import type { AuditNote } from "./audit-entries.ts";
import type { Database, Db } from "./pool.ts";
import { joinTokens } from "./schema.ts";
import { whereLabels } from "./selectors.ts";

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

/** That whatever a token admits is in a scope. A token for any name has no label `cluster`, as nobody has named it yet. */
export function tokensIn(scope: Scope): SQL {
  const name = sql`jsonb_strip_nulls(jsonb_build_object('cluster', ${joinTokens.clusterName}))`;
  return whereLabels(sql`(${joinTokens.labels} || ${name})`, scope);
}

/** Newest first. */
export async function listJoinTokens(db: Db, scope: Scope, max: number): Promise<readonly JoinToken[]> {
  return db
    .select()
    .from(joinTokens)
    .where(tokensIn(scope))
    .orderBy(desc(joinTokens.createdAt), joinTokens.id)
    .limit(max);
}

/** Revokes for good; revoking again keeps the first time. */
export async function revokeJoinToken(
  db: Database,
  scope: Scope,
  id: string,
  now: Date,
  note: AuditNote,
): Promise<Outcome<JoinToken>> {
  return db.transaction(async (tx) => {
    const [row] = await tx
      .update(joinTokens)
      .set({ revokedAt: sql`coalesce(${joinTokens.revokedAt}, ${now.toISOString()}::timestamptz)` })
      .where(and(eq(joinTokens.id, id), tokensIn(scope)))
      .returning();
    if (row === undefined) return refuse({ kind: "not-found", what: "join token", id: id.slice(0, 80) });
    await note(tx, { target: row.id });
    return accept(row);
  });
}
