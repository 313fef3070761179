import { needText, scheduleText } from "../../domain/people/pending.ts";
import { inScope } from "../../domain/scope.ts";
import { atGeneration, stepRollout, type Rollout } from "../../domain/rollout.ts";
import type { AuditNote } from "../../store/audit-entries.ts";
import type { Database } from "../../store/pool.ts";
import { readRolloutSnapshot } from "../../store/rollout-clusters.ts";
import { commitRollout } from "../../store/rollout-commits.ts";
import { lockRollout, replacePlan } from "../../store/rollout-people.ts";
import { findRollout, lockRollouts } from "../../store/rollouts.ts";
import type { Operator } from "../caller.ts";
import { orRefuse } from "../refusals.ts";
import { refuse } from "../../domain/refusal.ts";
import { guardCoverage } from "./compare.ts";
import { beyondScope, type Decision } from "./decide.ts";
import { findEngineProblems, tooOld } from "./engines.ts";
import { foresee } from "./foresee.ts";
import { needOf } from "./held-plan.ts";
import { personOf } from "./person.ts";
import { preparePlan, type Planning } from "./prepare.ts";

/**
 * Takes the plan as it is now for a rollout that did not begin because its own was overtaken. Approvals were for that
 * one, so none counts any more; and whoever takes the new plan is one of those who started it.
 */
export async function takeNewPlan(
  db: Database,
  { id }: Rollout,
  { generation, planDigest }: Decision & { readonly planDigest: string },
  by: Operator,
  { approvals, loader }: Planning,
  now: Date,
  note: AuditNote,
): Promise<Rollout> {
  const known = orRefuse(await findRollout(db, by.scope, id));
  orRefuse(await foresee(db, known.scope, known.spec, loader, now));
  return db.transaction(async (tx) => {
    const found = orRefuse(await findRollout(tx, by.scope, id));
    await lockRollouts(tx, found.spec.kind);
    const before = orRefuse(atGeneration(orRefuse(await findRollout(tx, by.scope, id)), generation));
    orRefuse(stepRollout(before, "wait-for-time", "", now.getTime()));
    if (!(await lockRollout(tx, before))) {
      orRefuse(refuse({ kind: "stale", what: "rollout", seen: generation }));
    }
    const prepared = orRefuse(await preparePlan(tx, before.scope, before.spec, now));
    if (planDigest !== "" && planDigest !== prepared.planDigest) {
      const why = `The plan of rollout ${id} is ${prepared.planDigest} now, not ${planDigest.slice(0, 80)}: look at it again`;
      orRefuse(refuse({ kind: "changed", why }));
    }
    if (before.spec.shadowSeconds !== undefined && prepared.bundle.digest !== before.digest) {
      const why = `The shadow of rollout ${id} showed another bundle than its new plan has: abort it, and start one with the bundle of now`;
      orRefuse(refuse({ kind: "precondition", why }));
    }
    const planned = new Set(
      prepared.plan.waves.flatMap((wave) => wave.clusters.map((cluster) => cluster.id)),
    );
    const isBeyond = prepared.fleet.some(
      (cluster) => planned.has(cluster.id) && !inScope(by.scope, cluster.labels),
    );
    if (isBeyond) orRefuse(beyondScope(by, id));
    orRefuse(await guardCoverage(tx, loader, before.spec, prepared));
    const problems = await findEngineProblems(tx, prepared);
    if (problems.length > 0) orRefuse(tooOld(problems));
    const need = needOf(approvals, before.spec, prepared);
    const { need: _old, ...rest } = before;
    const replanned: Rollout = {
      ...rest,
      ...(need === undefined ? {} : { need }),
      digest: prepared.bundle.digest,
      planDigest: prepared.planDigest,
      waves: prepared.plan.waves.map(({ clusters: _theirs, ...wave }) => wave),
      starters: [...(before.starters ?? []), await personOf(tx, by)],
    };
    await replacePlan(tx, replanned, prepared.plan);
    const startAtMs = before.spec.people?.startAtMs ?? 0;
    const because = `${by.name} took the plan as it is now; ${need === undefined ? scheduleText(Math.max(startAtMs, now.getTime())) : needText(need.why)}`;
    const event = need === undefined ? "wait-for-time" : "wait-for-approval";
    const after = orRefuse(stepRollout(replanned, event, because, now.getTime()));
    const { clusters: seen } = await readRolloutSnapshot(tx, before, now);
    const act = { who: by.name, what: "new-plan", why: because };
    const done = orRefuse(await commitRollout(tx, { before: replanned, after, changes: [], seen, act }, now));
    await note(tx);
    return done;
  });
}
