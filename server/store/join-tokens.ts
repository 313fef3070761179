import { and, desc, eq, sql, type SQL } from "drizzle-orm";

import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import type { Scope } from "../domain/scope.ts";
import type { Db } from "./pool.ts";
import { joinTokens } from "./schema.ts";
import { whereLabels } from "./selectors.ts";

export type JoinToken = typeof joinTokens.$inferSelect;

export async function insertJoinToken(db: Db, token: typeof joinTokens.$inferInsert): Promise<JoinToken> {
  const [row] = await db.insert(joinTokens).values(token).returning();
  if (row === undefined) throw new Error("An insert answered without its row");
  return row;
}

/** That whatever a token admits is in a scope. A token for any name has no label `cluster`, as nobody has named it yet. */
function tokensIn(scope: Scope): SQL {
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
  db: Db,
  scope: Scope,
  id: string,
  now: Date,
): Promise<Outcome<JoinToken>> {
  const [row] = await db
    .update(joinTokens)
    .set({ revokedAt: sql`coalesce(${joinTokens.revokedAt}, ${now.toISOString()}::timestamptz)` })
    .where(and(eq(joinTokens.id, id), tokensIn(scope)))
    .returning();
  return row === undefined
    ? refuse({ kind: "not-found", what: "join token", id: id.slice(0, 80) })
    : accept(row);
}
