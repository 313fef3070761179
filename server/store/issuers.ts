import { and, desc, eq, isNull, lt, sql, type SQL } from "./drizzle.ts";

import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import type { Scope } from "../domain/scope.ts";
import type { AuditNote } from "./audit-entries.ts";
import type { Database, Db } from "./pool.ts";
import { issuers, issuerUses } from "./schema.ts";
import { whereLabels } from "./selectors.ts";

export type Issuer = typeof issuers.$inferSelect;

/** That whatever an issuer admits is in a scope. */
function issuersIn(scope: Scope): SQL {
  const name = sql`jsonb_build_object('cluster', ${issuers.clusterName})`;
  return whereLabels(sql`(${issuers.labels} || ${name})`, scope);
}

/** Trusts an issuer instead of those that were trusted for the cluster in the scope; not of those outside, which do not exist. */
export async function trustIssuer(
  db: Database,
  scope: Scope,
  issuer: typeof issuers.$inferInsert,
  note: AuditNote,
): Promise<Issuer> {
  return db.transaction(async (tx) => {
    await tx
      .update(issuers)
      .set({ revokedAt: issuer.createdAt })
      .where(and(eq(issuers.clusterName, issuer.clusterName), isNull(issuers.revokedAt), issuersIn(scope)));
    const [row] = await tx.insert(issuers).values(issuer).returning();
    if (row === undefined) throw new Error("An insert answered without its row");
    await note(tx, { target: row.clusterName });
    return row;
  });
}

/** Those that are trusted, of one cluster or, without a name, of all; newest first. */
export async function listIssuers(
  db: Db,
  scope: Scope,
  clusterName: string,
  max: number,
): Promise<readonly Issuer[]> {
  const named = clusterName === "" ? undefined : eq(issuers.clusterName, clusterName);
  return db
    .select()
    .from(issuers)
    .where(and(isNull(issuers.revokedAt), named, issuersIn(scope)))
    .orderBy(desc(issuers.createdAt), issuers.id)
    .limit(max);
}

/** Those that may vouch for agents of a cluster, whoever registered them; newest first. */
export async function findIssuersOf(db: Db, clusterName: string, max: number): Promise<readonly Issuer[]> {
  return db
    .select()
    .from(issuers)
    .where(and(eq(issuers.clusterName, clusterName), isNull(issuers.revokedAt)))
    .orderBy(desc(issuers.createdAt), issuers.id)
    .limit(max);
}

/** Distrusts for good; again keeps the first time. */
export async function distrustIssuer(
  db: Database,
  scope: Scope,
  id: string,
  now: Date,
  note: AuditNote,
): Promise<Outcome<Issuer>> {
  return db.transaction(async (tx) => {
    const [row] = await tx
      .update(issuers)
      .set({ revokedAt: sql`coalesce(${issuers.revokedAt}, ${now.toISOString()}::timestamptz)` })
      .where(and(eq(issuers.id, id), issuersIn(scope)))
      .returning();
    if (row === undefined) return refuse({ kind: "not-found", what: "issuer", id: id.slice(0, 80) });
    await note(tx, { target: row.id });
    return accept(row);
  });
}

/** Uses of tokens that have expired, and issuers that have not been trusted for long. Answers with how many uses went. */
export async function removeSpentIssuers(db: Db, expiredBefore: Date): Promise<number> {
  const gone = await db.delete(issuerUses).where(lt(issuerUses.expiresAt, expiredBefore));
  const used = db.select({ id: issuerUses.issuerId }).from(issuerUses);
  await db
    .delete(issuers)
    .where(and(lt(issuers.revokedAt, expiredBefore), sql`${issuers.id} not in ${used}`));
  return gone.rowCount ?? 0;
}
