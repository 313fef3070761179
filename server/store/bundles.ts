import { and, count, countDistinct, desc, eq, isNotNull, isNull, or, sql } from "./drizzle.ts";

import type { Digest } from "../domain/ids.ts";
import type { Scope } from "../domain/scope.ts";
import { anyOf } from "./assignments.ts";
import type { Db, Transaction } from "./pool.ts";
import { agentComponents, agents, assignments, bundles, clusters, type BundleKindName } from "./schema.ts";
import { clustersIn } from "./scopes.ts";

/** A bundle without its bytes. */
export type BundleRow = Omit<typeof bundles.$inferSelect, "content">;

/** How people call a bundle. */
export interface BundleName {
  readonly digest: string;
  readonly kind: BundleKindName;
  readonly name: string;
  readonly version: string;
}

const withoutContent = {
  digest: bundles.digest,
  kind: bundles.kind,
  name: bundles.name,
  version: bundles.version,
  targetPath: bundles.targetPath,
  length: bundles.length,
  counts: bundles.counts,
  targetsVersion: bundles.targetsVersion,
  pushedAt: bundles.pushedAt,
  pushedBy: bundles.pushedBy,
};

/** Newest first. */
export async function listBundles(db: Db, kind: BundleKindName | undefined): Promise<readonly BundleRow[]> {
  return db
    .select(withoutContent)
    .from(bundles)
    .where(kind === undefined ? undefined : eq(bundles.kind, kind))
    .orderBy(desc(bundles.pushedAt), desc(bundles.targetPath));
}

export async function listBundlesAt(db: Db, paths: readonly string[]): Promise<readonly BundleRow[]> {
  if (paths.length === 0) return [];
  return db.select(withoutContent).from(bundles).where(anyOf(bundles.targetPath, paths));
}

/** The names of some bundles by digest; those that are not stored are left out. */
export async function findBundleNames(
  db: Db,
  digests: readonly string[],
): Promise<ReadonlyMap<string, BundleName>> {
  if (digests.length === 0) return new Map();
  const rows = await db
    .select({ digest: bundles.digest, kind: bundles.kind, name: bundles.name, version: bundles.version })
    .from(bundles)
    .where(anyOf(bundles.digest, [...new Set(digests)]));
  return new Map(rows.map((row) => [row.digest, row]));
}

/** By digest, NAME@VERSION or NAME; of several, the one that was pushed last. */
export async function findBundle(
  db: Db,
  wanted: string,
): Promise<(BundleRow & { readonly content: Uint8Array }) | undefined> {
  const at = wanted.lastIndexOf("@");
  const named =
    at > 0
      ? and(eq(bundles.name, wanted.slice(0, at)), eq(bundles.version, wanted.slice(at + 1)))
      : eq(bundles.name, wanted);
  const [row] = await db
    .select({ ...withoutContent, content: bundles.content })
    .from(bundles)
    .where(or(eq(bundles.digest, wanted), named))
    .orderBy(desc(bundles.pushedAt), desc(bundles.targetPath))
    .limit(1);
  return row;
}

/** The bytes that are stored under a digest. */
export async function readBlob(db: Db, digest: Digest): Promise<Uint8Array | undefined> {
  const [row] = await db.select({ content: bundles.content }).from(bundles).where(eq(bundles.digest, digest));
  return row?.content;
}

export async function insertBundle(tx: Transaction, row: typeof bundles.$inferInsert): Promise<void> {
  await tx.insert(bundles).values(row);
}

/** Notes that a version of targets metadata lists these paths and, by its absence, no others. */
export async function markListed(tx: Transaction, paths: readonly string[], version: bigint): Promise<void> {
  if (paths.length === 0) return;
  await tx.update(bundles).set({ targetsVersion: version }).where(anyOf(bundles.targetPath, paths));
}

/** How many clusters of a scope are assigned a bundle and how many prove it, by digest. */
export async function countUses(
  db: Db,
  scope: Scope,
): Promise<ReadonlyMap<string, { readonly assigned: number; readonly running: number }>> {
  const layers = sql`array(select l.digest from assignment_layers l where l.cluster_id = ${assignments.clusterId})`;
  const digest = sql<
    string | null
  >`unnest(array[${assignments.rulesDigest}, ${assignments.shipperDigest}] || ${layers})`;
  const each = db
    .select({ digest: digest.as("each_digest") })
    .from(assignments)
    .innerJoin(clusters, eq(clusters.id, assignments.clusterId))
    .where(and(isNull(clusters.retiredAt), clustersIn(scope)))
    .as("each_assignment");
  const assigned = await db
    .select({ digest: each.digest, count: count() })
    .from(each)
    .where(isNotNull(each.digest))
    .groupBy(each.digest);
  const running = await db
    .select({ digest: agentComponents.runningDigest, count: countDistinct(agents.clusterId) })
    .from(agentComponents)
    .innerJoin(agents, eq(agents.id, agentComponents.agentId))
    .innerJoin(clusters, eq(clusters.id, agents.clusterId))
    .where(
      and(
        isNotNull(agentComponents.runningDigest),
        isNull(agents.revokedAt),
        isNull(clusters.retiredAt),
        clustersIn(scope),
      ),
    )
    .groupBy(agentComponents.runningDigest);
  const uses = new Map<string, { assigned: number; running: number }>();
  for (const row of assigned) uses.set(row.digest ?? "", { assigned: row.count, running: 0 });
  for (const row of running) {
    uses.set(row.digest ?? "", { assigned: uses.get(row.digest ?? "")?.assigned ?? 0, running: row.count });
  }
  return uses;
}
