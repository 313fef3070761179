import { sql } from "drizzle-orm";

import type { Digest, RolloutId } from "../domain/ids.ts";
import type { Scope } from "../domain/scope.ts";
import type { Db, Transaction } from "./pool.ts";
import { notifyChanged } from "./notify.ts";
import { labelsIn } from "./scopes.ts";

/** A candidate that a cluster is to evaluate beside what it runs. */
export interface DesiredShadow {
  readonly rolloutId: RolloutId;
  readonly untilMs: number;
  readonly path: string;
  readonly length: number;
  readonly digest: Digest;
}

/** Of the rollout `r`: that its shadow is wanted now. As `isShadowing` of the domain says it. */
const isShadowing = sql`r.finished_at is null and r.kind = 'rules'
  and coalesce((r.spec->>'shadowSeconds')::int, 0) > 0 and r.waves->0->>'startedAtMs' is null`;

/** As JSON, for the cluster `c`. */
export const desiredShadow = sql`(select json_build_object('rolloutId', r.id,
    'untilMs', extract(epoch from r.created_at) * 1000 + (r.spec->>'shadowSeconds')::int * 1000,
    'path', b.target_path, 'length', b.length, 'digest', b.digest)
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

/** What an agent reports of a candidate, in bounds. */
export interface ShadowRow {
  readonly rolloutId: string;
  readonly agentId: string;
  readonly clusterId: string;
  readonly state: string;
  readonly reason: string;
  readonly detail: string;
  readonly since: Date | undefined;
  readonly events: bigint;
  readonly skipped: bigint;
  readonly undecided: bigint;
  readonly failures: bigint;
  readonly evaluationUs: bigint;
  readonly rules: readonly ShadowRuleRow[];
}

export interface ShadowRuleRow {
  readonly rule: string;
  readonly now: number;
  readonly candidate: number;
  readonly new: number;
  readonly gone: number;
  readonly samples: readonly ShadowSampleRow[];
}

export interface ShadowSampleRow {
  readonly isGone: boolean;
  readonly timeMs: number;
  readonly fields: Readonly<Record<string, string>>;
}

/** The last reports may come a little after the end. */
const graceMs = 5 * 60_000;

/** Stores what an agent reports, when its cluster is in such a rollout and the time is not long over; else nothing. */
export async function storeShadow(db: Db, row: ShadowRow, now: Date): Promise<void> {
  const at = sql`${now.toISOString()}::timestamptz`;
  await db.execute(sql`
    insert into shadow_reports (rollout_id, agent_id, cluster_id, state, reason, detail, since, updated_at,
      events, skipped, undecided, failures, evaluation_us, rules)
    select r.id, ${row.agentId}, ${row.clusterId}, ${row.state}, ${row.reason}, ${row.detail},
      ${row.since?.toISOString() ?? null}::timestamptz, ${at},
      ${String(row.events)}::bigint, ${String(row.skipped)}::bigint, ${String(row.undecided)}::bigint,
      ${String(row.failures)}::bigint, ${String(row.evaluationUs)}::bigint, ${JSON.stringify(row.rules)}::jsonb
    from rollouts r join rollout_clusters rc on rc.rollout_id = r.id
    where r.id = ${row.rolloutId} and rc.cluster_id = ${row.clusterId}
      and coalesce((r.spec->>'shadowSeconds')::int, 0) > 0
      and ${at} < r.created_at + make_interval(secs => (r.spec->>'shadowSeconds')::int + ${graceMs / 1000})
    on conflict (rollout_id, agent_id) do update set
      state = excluded.state, reason = excluded.reason, detail = excluded.detail, since = excluded.since,
      updated_at = excluded.updated_at, events = excluded.events, skipped = excluded.skipped,
      undecided = excluded.undecided, failures = excluded.failures, evaluation_us = excluded.evaluation_us,
      rules = excluded.rules`);
}

/** Forgets what agents reported before a time. */
export async function removeOldShadows(db: Db, before: Date): Promise<number> {
  const gone = await db.execute(
    sql`delete from shadow_reports where updated_at < ${before.toISOString()}::timestamptz`,
  );
  return gone.rowCount ?? 0;
}

/** Sums over the agents of a rollout. */
export interface ShadowSum {
  readonly agents: number;
  readonly evaluated: number;
  readonly refused: number;
  readonly events: bigint;
  readonly skipped: bigint;
  readonly undecided: bigint;
  readonly failures: bigint;
  readonly now: bigint;
  readonly candidate: bigint;
  readonly new: bigint;
  readonly gone: bigint;
}

type Texts<T> = { readonly [K in keyof T]: T[K] extends bigint ? string : T[K] };

export async function sumShadow(db: Db, scope: Scope, rolloutId: RolloutId): Promise<ShadowSum> {
  const { rows } = await db.execute<Texts<ShadowSum> & Record<string, unknown>>(sql`
    with reports as (
      select s.* from shadow_reports s join clusters c on c.id = s.cluster_id
      where s.rollout_id = ${rolloutId} and ${labelsIn(scope, "c")}
    )
    select
      (select count(*)::int from agents g join rollout_clusters rc on rc.cluster_id = g.cluster_id
        join clusters c on c.id = g.cluster_id
        where rc.rollout_id = ${rolloutId} and g.revoked_at is null and ${labelsIn(scope, "c")}) as agents,
      count(*) filter (where events > 0)::int as evaluated,
      count(*) filter (where state in ('refused', 'stopped') and reason <> 'shadow/ended')::int as refused,
      coalesce(sum(events), 0)::text as events, coalesce(sum(skipped), 0)::text as skipped,
      coalesce(sum(undecided), 0)::text as undecided, coalesce(sum(failures), 0)::text as failures,
      coalesce(sum(x.now), 0)::text as now, coalesce(sum(x.candidate), 0)::text as candidate,
      coalesce(sum(x.new), 0)::text as new, coalesce(sum(x.gone), 0)::text as gone
    from reports left join lateral (
      select sum(y.now) as now, sum(y.candidate) as candidate, sum(y.new) as new, sum(y.gone) as gone
      from jsonb_to_recordset(rules) as y (now bigint, candidate bigint, new bigint, gone bigint)) x on true`);
  const [row] = rows;
  if (row === undefined) throw new Error("A sum without a row");
  const { agents, evaluated, refused, ...sums } = row;
  const counts = Object.fromEntries(Object.entries(sums).map(([key, value]) => [key, BigInt(String(value))]));
  return { agents, evaluated, refused, ...(counts as Omit<ShadowSum, "agents" | "evaluated" | "refused">) };
}

export interface ShadowRuleSumRow extends Record<string, unknown> {
  readonly rule: string;
  readonly now: string;
  readonly candidate: string;
  readonly new: string;
  readonly gone: string;
  readonly clusters: number;
  readonly examples: readonly (ShadowSampleRow & { readonly clusterName: string })[] | null;
}

/** Per rule, those that differ most first. */
export async function listShadowRules(
  db: Db,
  scope: Scope,
  rolloutId: RolloutId,
  { rulesMax, examplesMax }: { readonly rulesMax: number; readonly examplesMax: number },
): Promise<readonly ShadowRuleSumRow[]> {
  const { rows } = await db.execute<ShadowRuleSumRow>(sql`
    with parts as (
      select c.id as cluster_id, c.name, y.* from shadow_reports s join clusters c on c.id = s.cluster_id,
        jsonb_to_recordset(s.rules) as y (rule text, now bigint, candidate bigint, new bigint, gone bigint, samples jsonb)
      where s.rollout_id = ${rolloutId} and ${labelsIn(scope, "c")}
    ), sums as (
      select rule, sum(now) as now, sum(candidate) as candidate, sum(new) as new, sum(gone) as gone,
        count(distinct cluster_id) filter (where new + gone > 0)::int as clusters
      from parts group by rule order by sum(new + gone) desc, sum(candidate) desc, rule limit ${rulesMax}
    )
    select rule, now::text, candidate::text, new::text, gone::text, clusters,
      (select json_agg(one) from (
        select z.sample || jsonb_build_object('clusterName', parts.name) as one
        from parts, jsonb_array_elements(parts.samples) as z (sample)
        where parts.rule = sums.rule order by parts.name limit ${examplesMax}) shown) as examples
    from sums order by new + gone desc, candidate desc, rule`);
  return rows;
}

export interface ShadowProblemRow extends Record<string, unknown> {
  readonly clusterName: string;
  readonly agentName: string;
  readonly reason: string;
  readonly detail: string;
}

/** Agents that could not evaluate the candidate, or not to the end. */
export async function listShadowProblems(
  db: Db,
  scope: Scope,
  rolloutId: RolloutId,
  max: number,
): Promise<readonly ShadowProblemRow[]> {
  const { rows } = await db.execute<ShadowProblemRow>(sql`
    select c.name as "clusterName", g.name as "agentName", s.reason, s.detail
    from shadow_reports s join clusters c on c.id = s.cluster_id join agents g on g.id = s.agent_id
    where s.rollout_id = ${rolloutId} and s.reason not in ('', 'shadow/ended') and ${labelsIn(scope, "c")}
    order by c.name, g.name limit ${max}`);
  return rows;
}
