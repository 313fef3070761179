import { and, asc, desc, eq, gt, sql } from "./drizzle.ts";

import type { Db, Transaction } from "./pool.ts";
import { trustMetadata, type StoredRole } from "./schema.ts";

export type MetadataRow = typeof trustMetadata.$inferSelect;

/**
 * Taken by every transaction that publishes metadata, until it ends: so versions grow by one and never fork, however
 * many servers there are.
 */
export async function lockMetadata(tx: Transaction): Promise<void> {
  await tx.execute(sql`select pg_advisory_xact_lock(hashtext('falconry trust metadata'))`);
}

/** The newest metadata of a role. */
export async function findMetadata(db: Db, role: StoredRole): Promise<MetadataRow | undefined> {
  const [row] = await db
    .select()
    .from(trustMetadata)
    .where(eq(trustMetadata.role, role))
    .orderBy(desc(trustMetadata.version))
    .limit(1);
  return row;
}

/** Roots after a version, oldest first: the chain that a verifier has to walk. */
export async function listRootsAfter(db: Db, version: bigint): Promise<readonly MetadataRow[]> {
  return db
    .select()
    .from(trustMetadata)
    .where(and(eq(trustMetadata.role, "root"), gt(trustMetadata.version, version)))
    .orderBy(asc(trustMetadata.version));
}

export async function insertMetadata(tx: Transaction, row: typeof trustMetadata.$inferInsert): Promise<void> {
  await tx.insert(trustMetadata).values(row);
}
