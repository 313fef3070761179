import { layerMatches, parseMetadata, readDelegations, type LayerDelegation } from "#trust";

import { param } from "./assignments.ts";
import { sql } from "./drizzle.ts";
import { findMetadata } from "./metadata.ts";
import type { Db } from "./pool.ts";

/** The rules that a cluster is assigned, and the releases of layers on them, by digest. */
export interface Layered {
  readonly rules: string;
  readonly layers: readonly { readonly layer: string; readonly digest: string }[];
}

/** By cluster; those without rules are left out. */
export async function readLayered(
  db: Db,
  clusterIds: readonly string[],
): Promise<ReadonlyMap<string, Layered>> {
  const { rows } = await db.execute<Record<string, unknown> & Layered & { readonly id: string }>(sql`
    select a.cluster_id as id, a.rules_digest as rules, coalesce((
      select json_agg(json_build_object('layer', l.layer, 'digest', l.digest) order by l.layer)
      from assignment_layers l where l.cluster_id = a.cluster_id and l.digest is not null), '[]') as layers
    from assignments a where a.rules_digest is not null and a.cluster_id = any(${param(clusterIds)}::text[])`);
  return new Map(rows.map(({ id, rules, layers }) => [id, { rules, layers }]));
}

/** The delegations of the targets that are published; none when they cannot be read. */
export async function readPublishedDelegations(db: Db): Promise<ReadonlyMap<string, LayerDelegation>> {
  const row = await findMetadata(db, "targets");
  const targets = row === undefined ? undefined : parseMetadata("targets", row.body);
  const found = targets?.ok === true ? readDelegations(targets.value) : undefined;
  return found?.ok === true ? found.value : new Map();
}

/** Of layers that are assigned to a cluster with these labels, those that are delegated to it: agents are sent no others. */
export function delegatedTo<T extends { readonly layer: string }>(
  labels: Readonly<Record<string, string>>,
  layers: readonly T[],
  delegations: ReadonlyMap<string, Pick<LayerDelegation, "selector">>,
): readonly T[] {
  return layers.filter(({ layer }) => {
    const delegation = delegations.get(layer);
    return delegation !== undefined && layerMatches(delegation, labels);
  });
}
