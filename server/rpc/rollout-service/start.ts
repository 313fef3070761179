import { randomBytes } from "node:crypto";

import type { StartRolloutRequest } from "#proto/fleet/v1/rollout";

import { idBytes, makeId } from "../../domain/ids.ts";
import { invalid, refuse } from "../../domain/refusal.ts";
import type { RolloutSpec } from "../../domain/rollout-spec.ts";
import type { Rollout } from "../../domain/rollout.ts";
import type { Scope } from "../../domain/scope.ts";
import type { AuditNote } from "../../store/audit-entries.ts";
import type { Database, Transaction } from "../../store/pool.ts";
import { findRollout, findRolloutByRequest, insertRollout, lockRollouts } from "../../store/rollouts.ts";
import type { Operator } from "../caller.ts";
import { orRefuse } from "../refusals.ts";
import { guardCoverage } from "./compare.ts";
import { findEngineProblems, tooOld } from "./engines.ts";
import { preparePlan, type Prepared } from "./prepare.ts";
import { fromSpec } from "./spec.ts";

/**
 * Starts exactly the plan of the digest. One start of a kind at a time over all servers, so that two plans never share a
 * cluster; a repeated request finds what the first one started.
 */
export async function start(
  db: Database,
  request: StartRolloutRequest,
  by: Operator,
  now: Date,
  note: AuditNote,
): Promise<Rollout> {
  if (request.requestId.length > 100) orRefuse(invalid("request_id", "is longer than 100 characters"));
  const spec = orRefuse(fromSpec(request.spec));
  return db.transaction(async (tx) => {
    await lockRollouts(tx, spec.kind);
    const before = await repeated(tx, by.scope, request.requestId);
    if (before !== undefined) {
      await note(tx, { target: before.id });
      return before;
    }
    const prepared = orRefuse(await preparePlan(tx, by.scope, spec, now));
    if (request.planDigest !== "" && request.planDigest !== prepared.planDigest) {
      const why = `The plan is no longer ${request.planDigest.slice(0, 80)}: the fleet or the bundle changed since. It is ${prepared.planDigest} now: look at it again and start that`;
      orRefuse(refuse({ kind: "changed", why }));
    }
    orRefuse(await guardCoverage(tx, spec, prepared));
    const problems = await findEngineProblems(tx, prepared);
    if (problems.length > 0) orRefuse(tooOld(problems));
    const rollout = newRollout(spec, prepared, by, now.getTime());
    await insertRollout(tx, rollout, prepared.plan, request.requestId);
    await note(tx, { target: rollout.id });
    return rollout;
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
