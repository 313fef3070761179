import { sql, type AnyColumn, type SQL } from "./drizzle.ts";

import { layerOf, type ComponentName } from "../domain/component.ts";
import type { Digest, RolloutId } from "../domain/ids.ts";
import type { Db, Transaction } from "./pool.ts";
import { notifyChanged } from "./notify.ts";

/** Where a statement finds what a cluster is assigned of a component, beside the row `a` of assignments. */
export interface AssignedSql {
  /** To follow the join of `a`; nothing for what is a column of it. */
  readonly join: SQL;
  readonly digest: SQL;
  readonly rolloutId: SQL;
}

/** `clusterId` is the column that names the cluster there. */
export function assignedOf(component: ComponentName, clusterId: SQL): AssignedSql {
  const layer = layerOf(component);
  if (layer === undefined) {
    const column = (of: string) => sql`a.${sql.identifier(`${component}_${of}`)}`;
    return { join: sql``, digest: column("digest"), rolloutId: column("rollout_id") };
  }
  const join = sql`left join assignment_layers al on al.cluster_id = ${clusterId} and al.layer = ${layer}`;
  return { join, digest: sql`al.digest`, rolloutId: sql`al.rollout_id` };
}

/** A bundle for one cluster, in place of the assignment that was seen. */
export interface Reassignment {
  readonly clusterId: string;
  /** Null takes the component away, which can be done with layers alone. */
  readonly digest: Digest | null;
  /** The generation of the assignment that the decision was made on; 0 when there was none. */
  readonly seen: bigint;
}

/**
 * Assigns bundles of one component, each cluster's under a new generation, and wakes every server. Compare-and-set: clusters
 * whose assignment is no longer the one that was seen are left as they are and are missing in the answer, which maps
 * clusters to their new generations.
 */
export async function reassign(
  tx: Transaction,
  component: ComponentName,
  rolloutId: RolloutId,
  changes: readonly Reassignment[],
  now: Date,
): Promise<ReadonlyMap<string, bigint>> {
  if (changes.length === 0) return new Map();
  const layer = layerOf(component);
  const given =
    layer === undefined
      ? await setBundles(tx, component, rolloutId, changes, now)
      : await step(tx, changes, now);
  if (layer !== undefined) await setLayers(tx, layer, rolloutId, changes, [...given.keys()]);
  await notifyChanged(tx);
  return given;
}

async function setBundles(
  tx: Transaction,
  component: ComponentName,
  rolloutId: RolloutId,
  changes: readonly Reassignment[],
  now: Date,
): Promise<ReadonlyMap<string, bigint>> {
  const digest = sql.identifier(`${component}_digest`);
  const rollout = sql.identifier(`${component}_rollout_id`);
  const { rows } = await tx.execute<Stepped>(sql`
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
  return generationsIn(rows);
}

interface Stepped extends Record<string, unknown> {
  readonly cluster_id: string;
  readonly generation: string;
}

function generationsIn(rows: readonly Stepped[]): ReadonlyMap<string, bigint> {
  return new Map(rows.map((row) => [row.cluster_id, BigInt(row.generation)]));
}

/** A new generation without other bundles. */
async function step(
  tx: Transaction,
  changes: readonly Reassignment[],
  now: Date,
): Promise<ReadonlyMap<string, bigint>> {
  const { rows } = await tx.execute<Stepped>(sql`
    insert into assignments as a (cluster_id, generation, changed_at)
    select x.cluster_id, x.seen + 1, ${now.toISOString()}::timestamptz
    from unnest(
      ${param(changes.map((change) => change.clusterId))}::text[],
      ${param(changes.map((change) => String(change.seen)))}::bigint[]
    ) as x (cluster_id, seen)
    order by x.cluster_id
    on conflict (cluster_id) do update set generation = excluded.generation, changed_at = excluded.changed_at,
      changed = nextval('change_seq')
    where a.generation = excluded.generation - 1
    returning a.cluster_id, a.generation`);
  return generationsIn(rows);
}

/** The rollout stays with a layer that it took away: so it can be told that nobody else moved it since. */
async function setLayers(
  tx: Transaction,
  layer: string,
  rolloutId: RolloutId,
  changes: readonly Reassignment[],
  clusterIds: readonly string[],
): Promise<void> {
  await tx.execute(sql`
    insert into assignment_layers (cluster_id, layer, digest, rollout_id)
    select x.cluster_id, ${layer}, x.digest, ${rolloutId} from unnest(
      ${param(changes.map((change) => change.clusterId))}::text[],
      ${param(changes.map((change) => change.digest))}::text[]
    ) as x (cluster_id, digest)
    where x.cluster_id = any(${param(clusterIds)}::text[])
    on conflict (cluster_id, layer) do update set digest = excluded.digest, rollout_id = excluded.rollout_id`);
}

/** Has agents of clusters with layers take their assignment in anew: what of it is for them has changed. */
export async function renewAssignments(db: Db, clusterIds: readonly string[], now: Date): Promise<void> {
  const { rows } = await db.execute(sql`
    update assignments a set generation = a.generation + 1, changed_at = ${now.toISOString()}::timestamptz,
      changed = nextval('change_seq')
    where a.cluster_id = any(${param(clusterIds)}::text[]) and exists (
      select 1 from assignment_layers l where l.cluster_id = a.cluster_id and l.digest is not null)
    returning a.cluster_id`);
  if (rows.length > 0) await notifyChanged(db);
}

/** One parameter that holds a whole array; drizzle by itself would spread it into a list of parameters. */
export function param(values: readonly unknown[]): ReturnType<typeof sql.param> {
  return sql.param([...values]);
}

/**
 * Whether a column is one of many texts. Drizzle's own `inArray` makes a parameter of each, which for a page of clusters takes as long to
 * write down as the database takes to answer.
 */
export function anyOf(column: AnyColumn, values: readonly string[]): SQL {
  return sql`${column} = any(${param(values)}::text[])`;
}

/** An array of numbers as one parameter, as the text that the database reads: they need no quotes, which the driver would look for in each. */
export function numbersParam(values: readonly (bigint | number)[]): ReturnType<typeof sql.param> {
  return sql.param(`{${values.join(",")}}`);
}
