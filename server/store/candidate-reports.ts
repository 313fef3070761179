import { sql } from "./drizzle.ts";

import type { Scope } from "../domain/scope.ts";
import type { Db } from "./pool.ts";
import { labelsIn } from "./scopes.ts";

/** What an agent reports of a candidate that it evaluates, in bounds. */
export interface CandidateReport {
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
  readonly rules: readonly CandidateRuleRow[];
}

export interface CandidateRuleRow {
  readonly rule: string;
  readonly now: number;
  readonly candidate: number;
  readonly new: number;
  readonly gone: number;
  readonly samples: readonly CandidateSampleRow[];
}

export interface CandidateSampleRow {
  readonly isGone: boolean;
  readonly timeMs: number;
  readonly fields: Readonly<Record<string, string>>;
}

/** The columns that every kind of report has, what goes into them, and how a newer report replaces an older one. */
export const reportNames = sql`agent_id, cluster_id, state, reason, detail, since, updated_at, events, skipped,
  undecided, failures, evaluation_us, rules`;

export function reportValues(row: CandidateReport, now: Date) {
  return sql`${row.agentId}, ${row.clusterId}, ${row.state}, ${row.reason}, ${row.detail},
    ${row.since?.toISOString() ?? null}::timestamptz, ${now.toISOString()}::timestamptz,
    ${String(row.events)}::bigint, ${String(row.skipped)}::bigint, ${String(row.undecided)}::bigint,
    ${String(row.failures)}::bigint, ${String(row.evaluationUs)}::bigint, ${JSON.stringify(row.rules)}::jsonb`;
}

export const reportUpdate = sql`state = excluded.state, reason = excluded.reason, detail = excluded.detail,
  since = excluded.since, updated_at = excluded.updated_at, events = excluded.events, skipped = excluded.skipped,
  undecided = excluded.undecided, failures = excluded.failures, evaluation_us = excluded.evaluation_us,
  rules = excluded.rules`;

/** Whose reports are asked for. */
export interface Reported {
  readonly kind: "shadow" | "backtest";
  readonly id: string;
}

/** The reports `s` about one candidate, of clusters `c` in a scope. */
function reportsOf({ kind, id }: Reported, scope: Scope) {
  const [table, key] =
    kind === "shadow" ? ["shadow_reports", "rollout_id"] : ["backtest_reports", "backtest_id"];
  return {
    from: sql`${sql.identifier(table)} s join clusters c on c.id = s.cluster_id`,
    where: sql`s.${sql.identifier(key)} = ${id} and ${labelsIn(scope, "c")}`,
  };
}

/** Sums over the agents that reported. */
export interface CandidateSums {
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

export async function sumReports(db: Db, scope: Scope, of: Reported): Promise<CandidateSums> {
  const { from, where } = reportsOf(of, scope);
  const { rows } = await db.execute<Texts<CandidateSums> & Record<string, unknown>>(sql`
    with reports as (select s.* from ${from} where ${where})
    select
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
  const { evaluated, refused, ...sums } = row;
  const counts = Object.fromEntries(Object.entries(sums).map(([key, value]) => [key, BigInt(String(value))]));
  return { evaluated, refused, ...(counts as Omit<CandidateSums, "evaluated" | "refused">) };
}

export interface CandidateRuleSum extends Record<string, unknown> {
  readonly rule: string;
  readonly now: string;
  readonly candidate: string;
  readonly new: string;
  readonly gone: string;
  readonly clusters: number;
  readonly examples: readonly (CandidateSampleRow & { readonly clusterName: string })[] | null;
}

const rulesMax = 500;
const examplesMax = 5;

/** Per rule, those that differ most first. */
export async function listRuleSums(db: Db, scope: Scope, of: Reported): Promise<readonly CandidateRuleSum[]> {
  const { from, where } = reportsOf(of, scope);
  const { rows } = await db.execute<CandidateRuleSum>(sql`
    with parts as (
      select c.id as cluster_id, c.name, y.* from ${from},
        jsonb_to_recordset(s.rules) as y (rule text, now bigint, candidate bigint, new bigint, gone bigint, samples jsonb)
      where ${where}
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

export interface CandidateProblem extends Record<string, unknown> {
  readonly clusterName: string;
  readonly agentName: string;
  readonly reason: string;
  readonly detail: string;
}

/** No answer has more of them. */
export const problemsMax = 100;

/** Agents that could not evaluate the candidate, or not to the end, or not over everything that was asked for. */
export async function listProblems(db: Db, scope: Scope, of: Reported): Promise<readonly CandidateProblem[]> {
  const { from, where } = reportsOf(of, scope);
  const { rows } = await db.execute<CandidateProblem>(sql`
    select c.name as "clusterName", g.name as "agentName", s.reason, s.detail
    from ${from} join agents g on g.id = s.agent_id
    where ${where} and s.reason not in ('', 'shadow/ended') order by c.name, g.name limit ${problemsMax}`);
  return rows;
}
