import { sql } from "drizzle-orm";

import type { Digest, RolloutId } from "../domain/ids.ts";
import type { BundleKind } from "../domain/rollout-spec.ts";
import type { Transaction } from "./pool.ts";
import { notifyChanged } from "./notify.ts";

/** A bundle for one cluster, in place of the assignment that was seen. */
export interface Reassignment {
  readonly clusterId: string;
  readonly digest: Digest;
  /** The generation of the assignment that the decision was made on; 0 when there was none. */
  readonly seen: bigint;
}

/**
 * Assigns bundles of one kind, each cluster's under a new generation, and wakes every server. Compare-and-set: clusters
 * whose assignment is no longer the one that was seen are left as they are and are missing in the answer, which maps
 * clusters to their new generations.
 */
export async function reassign(
  tx: Transaction,
  kind: BundleKind,
  rolloutId: RolloutId,
  changes: readonly Reassignment[],
  now: Date,
): Promise<ReadonlyMap<string, bigint>> {
  if (changes.length === 0) return new Map();
  const digest = sql.identifier(`${kind}_digest`);
  const rollout = sql.identifier(`${kind}_rollout_id`);
  const rows = await tx.execute<{ cluster_id: string; generation: string }>(sql`
    insert into assignments as a (cluster_id, generation, ${digest}, ${rollout}, changed_at)
    select x.cluster_id, x.seen + 1, x.digest, ${rolloutId}, ${now.toISOString()}::timestamptz
    from unnest(
      ${param(changes.map((change) => change.clusterId))}::text[],
      ${param(changes.map((change) => change.digest))}::text[],
      ${param(changes.map((change) => String(change.seen)))}::bigint[]
    ) as x (cluster_id, digest, seen)
    -- One order for everybody, so that two rollouts that meet in the same clusters do not lock each other out.
    order by x.cluster_id
    on conflict (cluster_id) do update set
      generation = excluded.generation,
      ${digest} = excluded.${digest},
      ${rollout} = excluded.${rollout},
      changed_at = excluded.changed_at,
      changed = nextval('change_seq')
    where a.generation = excluded.generation - 1
    returning a.cluster_id, a.generation`);
  await notifyChanged(tx);
  return new Map(rows.rows.map((row) => [row.cluster_id, BigInt(row.generation)]));
}

/** One parameter that holds a whole array; drizzle by itself would spread it into a list of parameters. */
export function param(values: readonly unknown[]): ReturnType<typeof sql.param> {
  return sql.param([...values]);
}
