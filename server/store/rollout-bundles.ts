import { sql } from "./drizzle.ts";

import type { Digest } from "../domain/ids.ts";
import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import { kindOf, layerOf, type ComponentName } from "../domain/component.ts";
import type { Rollout } from "../domain/rollout.ts";
import type { BundleName } from "./bundles.ts";
import { param } from "./assignments.ts";
import { readPublishedDelegations } from "./layered.ts";
import { isListed, listedDigests } from "./listed.ts";
import type { Db } from "./pool.ts";

/**
 * The bundle that a rollout means: by digest, NAME@VERSION or NAME. Of several, the one that was pushed last and is
 * still released.
 */
export async function findRolloutBundle(
  db: Db,
  component: ComponentName,
  wanted: string,
): Promise<Outcome<BundleName & { readonly digest: Digest }>> {
  const kind = kindOf(component);
  const name = layerOf(component);
  const at = wanted.lastIndexOf("@");
  const named =
    at > 0 ? sql`name = ${wanted.slice(0, at)} and version = ${wanted.slice(at + 1)}` : sql`name = ${wanted}`;
  const { rows } = await db.execute<{ digest: Digest; name: string; version: string; listed: boolean }>(sql`
    select digest, name, version,
      ${isListed("b")} as listed
    from bundles b where kind = ${kind} and (digest = ${wanted} or ${named})
      and ${name === undefined ? sql`true` : sql`name = ${name}`}
    order by listed desc, pushed_at desc, target_path desc limit 1`);
  const [row] = rows;
  if (row === undefined) {
    return refuse({ kind: "not-found", what: `${kind} bundle`, id: wanted.slice(0, 300) });
  }
  if (!row.listed) {
    const why = `The ${kind} bundle ${row.name}@${row.version} is no longer listed by ${kind === "layer" ? "the list of its layer" : "targets metadata"}, so agents would refuse it: release it again`;
    return refuse({ kind: "precondition", why });
  }
  return accept({ kind, digest: row.digest, name: row.name, version: row.version });
}

/** The names of the bundles of a kind that the current targets metadata lists. */
export async function listReleasedNames(db: Db, component: ComponentName): Promise<readonly string[]> {
  const kind = kindOf(component);
  const { rows } = await db.execute<{ name: string }>(sql`
    select distinct name from bundles b where kind = ${kind} and ${isListed("b")} limit 20`);
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

/**
 * Why no agent starts the release of a layer that a rollout is about; nothing while it is released. Of a bundle that was withdrawn
 * each agent says so itself, but of a layer that was taken back none is told.
 */
export async function readWithdrawn(
  db: Db,
  { digest, spec }: Pick<Rollout, "digest" | "spec">,
): Promise<{ readonly withdrawn?: string }> {
  const layer = layerOf(spec.kind);
  if (layer === undefined || (await listedDigests(db, [{ digest }])).has(digest)) return {};
  const isOwned = (await readPublishedDelegations(db)).has(layer);
  const withdrawn = isOwned
    ? `the release was withdrawn: the list of the layer ${layer} names it no longer, so no agent starts it`
    : `the layer ${layer} was taken back: targets metadata delegates it to nobody, so no agent runs it`;
  return { withdrawn };
}
