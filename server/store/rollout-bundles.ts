import { sql } from "drizzle-orm";

import type { Digest } from "../domain/ids.ts";
import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import type { BundleKind } from "../domain/rollout-spec.ts";
import type { BundleName } from "./bundles.ts";
import { param } from "./assignments.ts";
import type { Db } from "./pool.ts";

/**
 * The bundle that a rollout means: by digest, NAME@VERSION or NAME. Of several, the one that was pushed last and is
 * still released.
 */
export async function findRolloutBundle(
  db: Db,
  kind: BundleKind,
  wanted: string,
): Promise<Outcome<BundleName & { readonly digest: Digest }>> {
  const at = wanted.lastIndexOf("@");
  const named =
    at > 0 ? sql`name = ${wanted.slice(0, at)} and version = ${wanted.slice(at + 1)}` : sql`name = ${wanted}`;
  const { rows } = await db.execute<{ digest: Digest; name: string; version: string; listed: boolean }>(sql`
    select digest, name, version,
      targets_version = (select max(version) from trust_metadata where role = 'targets') as listed
    from bundles where kind = ${kind} and (digest = ${wanted} or ${named})
    order by listed desc, pushed_at desc, target_path desc limit 1`);
  const [row] = rows;
  if (row === undefined) {
    return refuse({ kind: "not-found", what: `${kind} bundle`, id: wanted.slice(0, 300) });
  }
  if (!row.listed) {
    const why = `The ${kind} bundle ${row.name}@${row.version} is no longer listed by targets metadata, so agents would refuse it: release it again`;
    return refuse({ kind: "precondition", why });
  }
  return accept({ kind, digest: row.digest, name: row.name, version: row.version });
}

/** The names of the bundles of a kind that the current targets metadata lists. */
export async function listReleasedNames(db: Db, kind: BundleKind): Promise<readonly string[]> {
  const { rows } = await db.execute<{ name: string }>(sql`
    select distinct name from bundles where kind = ${kind}
      and targets_version = (select max(version) from trust_metadata where role = 'targets') limit 20`);
  return rows.map((row) => row.name);
}

/** The bytes of some bundles by digest. */
export async function readBundleContents(
  db: Db,
  digests: readonly string[],
): Promise<ReadonlyMap<string, Uint8Array>> {
  if (digests.length === 0) return new Map();
  const { rows } = await db.execute<{ digest: string; content: Buffer }>(sql`
    select digest, content from bundles where digest = any(${param(digests)}::text[])`);
  return new Map(rows.map((row) => [row.digest, row.content]));
}
