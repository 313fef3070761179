import { sql } from "./drizzle.ts";

import type { Digest, RolloutId } from "../domain/ids.ts";
import type { ShadowEvidence } from "../domain/rollout-shadow.ts";
import { type Scope, wholeFleet } from "../domain/scope.ts";
import type { Db, Transaction } from "./pool.ts";
import { notifyChanged } from "./notify.ts";
import {
  type CandidateReport,
  reportNames,
  reportUpdate,
  reportValues,
  sumReports,
} from "./candidate-reports.ts";
import { labelsIn } from "./scopes.ts";

/** A candidate that a cluster is to evaluate beside what it runs. */
export interface DesiredShadow {
  readonly rolloutId: RolloutId;
  readonly untilMs: number;
  readonly kind: "rules" | "layer";
  readonly path: string;
  readonly length: number;
  readonly digest: Digest;
}

/** Of the rollout `r`: that its shadow is wanted now. As `isShadowing` of the domain says it. */
const isShadowing = sql`r.finished_at is null and r.kind <> 'shipper'
  and coalesce((r.spec->>'shadowSeconds')::int, 0) > 0 and r.waves->0->>'startedAtMs' is null`;

/** As JSON, for the cluster `c`; of several, the one that began first. */
export const desiredShadow = sql`(select json_build_object('rolloutId', r.id,
    'untilMs', extract(epoch from r.created_at) * 1000 + (r.spec->>'shadowSeconds')::int * 1000,
    'kind', b.kind, 'path', b.target_path, 'length', b.length, 'digest', b.digest)
  from rollouts r join rollout_clusters rc on rc.rollout_id = r.id join bundles b on b.digest = r.digest
  where rc.cluster_id = c.id and rc.state = 'waiting' and ${isShadowing} order by r.created_at limit 1)`;

/** Whether the bundle `b` is a candidate of the cluster. */
export function isCandidate(clusterId: string) {
  return sql`exists (select 1 from rollouts r join rollout_clusters rc on rc.rollout_id = r.id
    where rc.cluster_id = ${clusterId} and r.digest = b.digest and ${isShadowing})`;
}

/** Makes every server look again at what it wants of the clusters of a rollout. */
export async function touchClusters(tx: Transaction, rolloutId: RolloutId): Promise<void> {
  await tx.execute(sql`
    update clusters c set changed = nextval('change_seq') from rollout_clusters rc
    where rc.rollout_id = ${rolloutId} and rc.cluster_id = c.id`);
  await notifyChanged(tx);
}

/** What an agent reports of the candidate of a rollout, in bounds. */
export interface ShadowRow extends CandidateReport {
  readonly rolloutId: string;
}

/** The last reports may come a little after the end. */
const graceMs = 5 * 60_000;

/** Stores what an agent reports, when its cluster is in such a rollout and the time is not long over; else nothing. */
export async function storeShadow(db: Db, row: ShadowRow, now: Date): Promise<void> {
  const at = sql`${now.toISOString()}::timestamptz`;
  await db.execute(sql`
    insert into shadow_reports (rollout_id, ${reportNames})
    select r.id, ${reportValues(row, now)}
    from rollouts r join rollout_clusters rc on rc.rollout_id = r.id
    where r.id = ${row.rolloutId} and rc.cluster_id = ${row.clusterId}
      and coalesce((r.spec->>'shadowSeconds')::int, 0) > 0
      and ${at} < r.created_at + make_interval(secs => (r.spec->>'shadowSeconds')::int + ${graceMs / 1000})
    on conflict (rollout_id, agent_id) do update set ${reportUpdate}`);
}

/** Forgets what agents reported before a time. */
export async function removeOldShadows(db: Db, before: Date): Promise<number> {
  const gone = await db.execute(
    sql`delete from shadow_reports where updated_at < ${before.toISOString()}::timestamptz`,
  );
  return gone.rowCount ?? 0;
}

/** What the shadow of a rollout showed over all of its clusters, whoever asks. */
export async function readShadowEvidence(db: Db, rolloutId: RolloutId): Promise<ShadowEvidence> {
  const { evaluated, refused } = await sumReports(db, wholeFleet, { kind: "shadow", id: rolloutId });
  return { agents: await countShadowAgents(db, wholeFleet, rolloutId), evaluated, refused };
}

/** How many agents there are that a rollout's shadow asks. */
export async function countShadowAgents(db: Db, scope: Scope, rolloutId: RolloutId): Promise<number> {
  const { rows } = await db.execute<{ agents: number }>(sql`
    select count(*)::int as agents from agents g join rollout_clusters rc on rc.cluster_id = g.cluster_id
      join clusters c on c.id = g.cluster_id
    where rc.rollout_id = ${rolloutId} and g.revoked_at is null and ${labelsIn(scope, "c")}`);
  return rows[0]?.agents ?? 0;
}
