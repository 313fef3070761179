import { randomBytes } from "node:crypto";

import type { StartRolloutRequest } from "#proto/fleet/v1/rollout";

import type { ApprovalPolicy } from "../../domain/people/approval.ts";
import { needText, scheduleText } from "../../domain/people/pending.ts";
import { idBytes, makeId } from "../../domain/ids.ts";
import { invalid, refuse } from "../../domain/refusal.ts";
import type { RolloutPlan } from "../../domain/rollout-plan.ts";
import type { RolloutSpec } from "../../domain/rollout-spec.ts";
import type { Rollout } from "../../domain/rollout.ts";
import type { Scope } from "../../domain/scope.ts";
import type { AuditNote } from "../../store/audit-entries.ts";
import type { Database, Transaction } from "../../store/pool.ts";
import { findRollout, findRolloutByRequest, insertRollout, lockRollouts } from "../../store/rollouts.ts";
import { insertAct } from "../../store/rollout-people.ts";
import type { Operator } from "../caller.ts";
import { orRefuse } from "../refusals.ts";
import { confine } from "./confine.ts";
import { guardCoverage } from "./compare.ts";
import { findEngineProblems, tooOld } from "./engines.ts";
import { foresee } from "./foresee.ts";
import { needOf } from "./held-plan.ts";
import { judgeStart } from "./people-spec.ts";
import { personOf } from "./person.ts";
import { preparePlan, type Planning, type Prepared } from "./prepare.ts";
import { fromSpec } from "./spec.ts";

/** A rollout that was started, with its plan; without it, one that an earlier call with the same request id started. */
export interface Started {
  readonly rollout: Rollout;
  readonly plan?: RolloutPlan;
}

/**
 * Starts exactly the plan of the digest. One start of a kind at a time over all servers, so that two plans never share a
 * cluster; a repeated request finds what the first one started.
 */
export async function start(
  db: Database,
  request: StartRolloutRequest,
  by: Operator,
  { approvals, loader, traceparent }: Planning & { readonly traceparent: string | undefined },
  now: Date,
  note: AuditNote,
): Promise<Started> {
  if (request.requestId.length > 100) orRefuse(invalid("request_id", "is longer than 100 characters"));
  const spec = orRefuse(await confine(db, orRefuse(fromSpec(request.spec))));
  orRefuse(await foresee(db, by.scope, spec, loader, now, request.planDigest));
  return db.transaction(async (tx) => {
    await lockRollouts(tx, spec.kind);
    const before = await repeated(tx, by.scope, request.requestId);
    if (before !== undefined) {
      await note(tx, { target: before.id });
      return { rollout: before };
    }
    orRefuse(judgeStart(spec, now.getTime()));
    const prepared = orRefuse(await preparePlan(tx, by.scope, spec, now));
    if (request.planDigest !== "" && request.planDigest !== prepared.planDigest) {
      const why = `The plan is no longer ${request.planDigest.slice(0, 80)}: the fleet or the bundle changed since. It is ${prepared.planDigest} now: look at it again and start that`;
      orRefuse(refuse({ kind: "changed", why }));
    }
    orRefuse(await guardCoverage(tx, loader, spec, prepared));
    const problems = await findEngineProblems(tx, prepared);
    if (problems.length > 0) orRefuse(tooOld(problems));
    const begun = newRollout(spec, prepared, by, now.getTime());
    const known = { ...begun, starters: [await personOf(tx, by)] };
    const traced = traceparent === undefined ? known : { ...known, traceparent };
    const rollout = untilItMay(traced, prepared, approvals, now);
    await insertRollout(tx, rollout, prepared.plan, request.requestId);
    const why = [spec.people?.reason ?? "", rollout.pending === true ? rollout.because : ""]
      .filter((part) => part !== "")
      .join("; ");
    const what = spec.people?.emergency === true ? "start-emergency" : "start";
    await insertAct(tx, rollout, { who: by.name, what, why }, now);
    await note(tx, { target: rollout.id });
    return { rollout, plan: prepared.plan };
  });
}

/** What an earlier call with the request id started. An id that somebody outside the scope took is refused. */
async function repeated(tx: Transaction, scope: Scope, requestId: string): Promise<Rollout | undefined> {
  const before = requestId === "" ? undefined : await findRolloutByRequest(tx, requestId);
  if (before === undefined) return undefined;
  const seen = await findRollout(tx, scope, before.id);
  if (seen.ok) return seen.value;
  const why = "take another request_id, for example a random one";
  return orRefuse(refuse({ kind: "already-exists", what: "request", id: requestId, why }));
}

function newRollout(spec: RolloutSpec, prepared: Prepared, by: Operator, nowMs: number): Rollout {
  return {
    id: makeId("rollout", randomBytes(idBytes)),
    spec,
    digest: prepared.bundle.digest,
    state: "running",
    because: "has just been started",
    wave: 0,
    generation: 1n,
    planDigest: prepared.planDigest,
    // The first wave of a rollout with a shadow begins after that.
    waves: prepared.plan.waves.map(({ name, group }, i) => ({
      name,
      group,
      ...(i === 0 && spec.shadowSeconds === undefined ? { startedAtMs: nowMs } : {}),
    })),
    createdBy: by.name,
    scope: by.scope,
    createdAtMs: nowMs,
  };
}

/** The rollout as it waits for people or for its time; as it is when it waits for neither, or moves nothing. */
function untilItMay(rollout: Rollout, prepared: Prepared, policy: ApprovalPolicy, now: Date): Rollout {
  if (rollout.waves.length === 0) return rollout;
  const need = needOf(policy, rollout.spec, prepared);
  const startAtMs = rollout.spec.people?.startAtMs;
  if (need === undefined && startAtMs === undefined) return rollout;
  const waves = rollout.waves.map(({ startedAtMs: _notYet, ...wave }) => wave);
  const waiting = { ...rollout, waves, pending: true };
  if (need !== undefined) {
    return { ...waiting, need, state: "awaiting-approval", because: needText(need.why) };
  }
  return { ...waiting, state: "scheduled", because: scheduleText(startAtMs ?? now.getTime()) };
}
