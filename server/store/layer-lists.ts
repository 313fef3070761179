import { findDelegation, layerOfRole, verifyLayerList, type Document } from "#trust";

import { param } from "./assignments.ts";
import { sql } from "./drizzle.ts";
import type { Db, Transaction } from "./pool.ts";
import type { StoredRole } from "./schema.ts";

/** The newest version of every list that was ever published: a snapshot has to pin them all, also after a layer was taken back. */
export async function listLayerVersions(db: Db): Promise<readonly (readonly [StoredRole, bigint])[]> {
  const { rows } = await db.execute<{ role: StoredRole; version: string }>(sql`
    select role, max(version) as version from trust_metadata where role like 'layer-%' group by role order by role`);
  return rows.map(({ role, version }) => [role, BigInt(version)]);
}

/** The newest list of every layer, or of these, by the layer's name. */
export async function readLayerLists(
  db: Db,
  layers?: readonly string[],
): Promise<ReadonlyMap<string, Uint8Array>> {
  const roles = layers?.map((layer) => `layer-${layer}`);
  const wanted = roles === undefined ? sql`role like 'layer-%'` : sql`role = any(${param(roles)}::text[])`;
  const { rows } = await db.execute<{ role: string; body: Buffer }>(sql`
    select distinct on (role) role, body from trust_metadata where ${wanted} order by role, version desc`);
  return new Map(rows.flatMap(({ role, body }) => named(layerOfRole(role), body)));
}

function named(layer: string | undefined, body: Buffer): readonly (readonly [string, Uint8Array])[] {
  return layer === undefined ? [] : [[layer, body]];
}

/**
 * Notes of every layer which releases are released by these targets: those of its newest list, when the delegation is there
 * and its keys signed that list, and none otherwise.
 */
export async function relistLayers(tx: Transaction, targets: Document<"targets">, now: Date): Promise<void> {
  for (const [layer, body] of await readLayerLists(tx)) {
    const delegation = findDelegation(targets, layer);
    const list = delegation.ok ? verifyLayerList(body, delegation.value) : undefined;
    const view = list?.ok === true ? list.value : undefined;
    await markLayerListed(tx, layer, [...(view?.listed.keys() ?? [])], BigInt(view?.version ?? 0));
    if (!delegation.ok) await unassignLayer(tx, layer, now);
  }
}

/** A layer that was taken back does not come back by itself when it is given away again. */
async function unassignLayer(tx: Transaction, layer: string, now: Date): Promise<void> {
  await tx.execute(sql`
    with gone as (update assignment_layers set digest = null where layer = ${layer} and digest is not null
      returning cluster_id)
    update assignments a set generation = a.generation + 1, changed_at = ${now.toISOString()}::timestamptz,
      changed = nextval('change_seq')
    where a.cluster_id in (select cluster_id from gone)`);
}

/** Notes that a version of a layer's list names these paths; every other release of the layer is released no longer. */
export async function markLayerListed(
  tx: Transaction,
  layer: string,
  paths: readonly string[],
  version: bigint,
): Promise<void> {
  const now = sql`case when b.target_path = any(${param(paths)}::text[]) then ${version}::bigint else 0 end`;
  await tx.execute(sql`
    update bundles b set targets_version = ${now}
    where b.kind = 'layer' and b.name = ${layer} and b.targets_version <> ${now}`);
}
