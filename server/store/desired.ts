import { sql } from "./drizzle.ts";

import type { Digest } from "../domain/ids.ts";
import { param } from "./assignments.ts";
import { type DesiredBacktest, desiredBacktest, isBacktested } from "./backtests.ts";
import type { Db } from "./pool.ts";
import type { StoredRole } from "./schema.ts";
import { type DesiredShadow, desiredShadow, isCandidate } from "./shadows.ts";

/** What the server wants of a cluster, as its agents are told. */
export interface DesiredRow {
  readonly clusterId: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly isRetired: boolean;
  /** Agents of the cluster whose identity was taken back. */
  readonly revokedAgentIds: readonly string[];
  /** 0 when nothing was ever assigned. */
  readonly generation: bigint;
  readonly targets: readonly DesiredTarget[];
  /** Releases of layers that teams own. */
  readonly layers: readonly DesiredLayer[];
  readonly shadow: DesiredShadow | null;
  readonly backtest: DesiredBacktest | null;
  /** The rollout that gave the assignment of this generation, when it is traced and asked for. */
  readonly trace: DesiredTrace | null;
}

export interface DesiredTrace {
  readonly rolloutId: string;
  readonly traceparent: string;
}

export interface DesiredLayer {
  readonly layer: string;
  readonly path: string;
  readonly length: number;
  readonly digest: Digest;
}

export interface DesiredTarget {
  readonly kind: "rules" | "shipper";
  readonly path: string;
  readonly length: number;
  readonly digest: Digest;
}

export async function readDesired(
  db: Db,
  clusterIds: readonly string[],
  isTraced: boolean,
): Promise<readonly DesiredRow[]> {
  if (clusterIds.length === 0) return [];
  const { rows } = await db.execute<
    Omit<DesiredRow, "generation"> & { generation: string } & Record<string, unknown>
  >(sql`
    select c.id as "clusterId", c.labels, c.retired_at is not null as "isRetired",
      array(select g.id from agents g where g.cluster_id = c.id and g.revoked_at is not null) as "revokedAgentIds",
      coalesce(a.generation, 0)::text as generation,
      coalesce((select json_agg(json_build_object('kind', b.kind, 'path', b.target_path, 'length', b.length,
        'digest', b.digest) order by b.kind) from bundles b where b.digest in (a.rules_digest, a.shipper_digest)), '[]')
        as targets,
      coalesce((select json_agg(json_build_object('layer', l.layer, 'path', b.target_path, 'length', b.length,
        'digest', b.digest) order by l.layer) from assignment_layers l join bundles b on b.digest = l.digest
        where l.cluster_id = c.id), '[]') as layers,
      ${desiredShadow} as shadow, ${desiredBacktest} as backtest,
      ${isTraced ? desiredTrace : sql`null`} as trace
    from clusters c left join assignments a on a.cluster_id = c.id
    where c.id = any(${param(clusterIds)}::text[])`);
  return rows.map((row) => ({ ...row, generation: BigInt(row.generation) }));
}

/** Looks at the rollouts that the cluster has its bundles from, and not at all that it ever had. */
const desiredTrace = sql`(
  select json_build_object('rolloutId', r.id, 'traceparent', r.traceparent)
  from rollouts r join rollout_clusters rc on rc.rollout_id = r.id and rc.cluster_id = c.id
  where r.id = any(array[a.rules_rollout_id, a.shipper_rollout_id]
      || array(select l.rollout_id from assignment_layers l where l.cluster_id = c.id))
    and rc.generation = a.generation and r.traceparent is not null limit 1)`;

/** One change: of a cluster (its assignment, labels or retirement), or of trust metadata or the CA when no cluster is named. */
export interface Change {
  readonly clusterId?: string;
  readonly number: bigint;
}

/** What changed after a number of the change counter, in no order. */
export async function readChanges(db: Db, after: bigint): Promise<readonly Change[]> {
  const { rows } = await db.execute<{ id: string | null; changed: string }>(sql`
    select cluster_id as id, changed from assignments where changed > ${after}
    union all select id, changed from clusters where changed > ${after}
    union all select null, changed from trust_metadata where changed > ${after}
    union all select null, changed from ca_rotations where changed > ${after}`);
  return rows.map(({ id, changed }) => ({
    number: BigInt(changed),
    ...(id === null ? {} : { clusterId: id }),
  }));
}

/** The number of the newest change that has begun; it may not be committed yet. */
export async function lastChange(db: Db): Promise<bigint> {
  const { rows } = await db.execute<{ last: string }>(sql`select last_value as last from change_seq`);
  return BigInt(rows[0]?.last ?? 0);
}

/** Metadata as published, byte for byte. */
export interface StoredMetadata {
  readonly role: StoredRole;
  readonly version: bigint;
  readonly body: Uint8Array;
}

/** All roots in order, and the newest of the other roles, in the order in which an agent verifies them: lists of layers last. */
export async function readTrustChain(db: Db): Promise<readonly StoredMetadata[]> {
  const { rows } = await db.execute<{ role: StoredRole; version: string; body: Buffer }>(sql`
    select role, version, body from trust_metadata m
    where role = 'root' or version = (select max(version) from trust_metadata n where n.role = m.role)
    order by array_position(array['root', 'timestamp', 'snapshot', 'targets'], role), version`);
  return rows.map((row) => ({ ...row, version: BigInt(row.version) }));
}

/**
 * Whether a cluster may fetch a bundle: it is assigned, or it is what an unfinished rollout would send the cluster back to,
 * or its candidate.
 */
export async function mayFetch(db: Db, clusterId: string, digest: Digest): Promise<boolean> {
  const { rows } = await db.execute(sql`
    select 1 from bundles b where b.digest = ${digest} and (
      exists (select 1 from assignments a where a.cluster_id = ${clusterId}
        and b.digest in (a.rules_digest, a.shipper_digest))
      or exists (select 1 from assignment_layers l where l.cluster_id = ${clusterId} and l.digest = b.digest)
      or exists (select 1 from rollout_clusters rc join rollouts r on r.id = rc.rollout_id
        where rc.cluster_id = ${clusterId} and rc.previous_digest = b.digest and r.finished_at is null)
      or ${isCandidate(clusterId)} or ${isBacktested(clusterId)})`);
  return rows.length > 0;
}
