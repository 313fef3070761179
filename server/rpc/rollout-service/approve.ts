import { parseId, type RolloutId } from "../../domain/ids.ts";
import { judgeApprover, lapsesAtMs, type ApprovalPolicy } from "../../domain/people/approval.ts";
import { isWaitingToBegin } from "../../domain/people/pending.ts";
import { reasonCharsMax } from "../../domain/people/spec.ts";
import { accept, invalid, refuse, type Outcome } from "../../domain/refusal.ts";
import { stepRollout, type Rollout } from "../../domain/rollout.ts";
import type { AuditNote } from "../../store/audit-entries.ts";
import type { Database, Transaction } from "../../store/pool.ts";
import { readRolloutSnapshot } from "../../store/rollout-clusters.ts";
import { commitRollout } from "../../store/rollout-commits.ts";
import { insertAct, insertApproval, lockRollout } from "../../store/rollout-people.ts";
import { findRollout, listRolloutClusterIds, lockRollouts } from "../../store/rollouts.ts";
import type { Operator } from "../caller.ts";
import { orRefuse } from "../refusals.ts";
import { beyondScope } from "./decide.ts";
import { changedText, planAnew } from "./held-plan.ts";
import { personOf } from "./person.ts";

/** Somebody's word about a plan that they have seen. */
export interface Word {
  readonly rolloutId: string;
  readonly planDigest: string;
  readonly reason: string;
}

/** Says that the plan may run. The plan is made anew: what is approved is what would happen now. */
export async function approve(
  db: Database,
  word: Word,
  by: Operator,
  policy: ApprovalPolicy,
  now: Date,
  note: AuditNote,
): Promise<Rollout> {
  const outcome = await db.transaction(async (tx): Promise<Outcome<Rollout>> => {
    const rollout = await addressed(tx, word, by, now);
    const person = await personOf(tx, by);
    orRefuse(judgeApprover(rollout.starters ?? [], person));
    if (rollout.need === undefined) {
      orRefuse(refuse({ kind: "precondition", why: `Rollout ${rollout.id} takes nobody's approval` }));
    }
    const plan = await planAnew(tx, rollout, now);
    if (plan.kind === "changed") {
      const because = changedText(plan.why);
      await leave(tx, rollout, "plan-changed", because, by.name, now);
      await note(tx, { outcome: "aborted", why: because });
      return refuse({ kind: "changed", why: `Nothing was approved: ${because}` });
    }
    const untilMs = lapsesAtMs(policy, rollout.spec, now.getTime());
    await insertApproval(tx, rollout.id, {
      planDigest: rollout.planDigest,
      person: person.person,
      name: by.name,
      reason: word.reason,
      atMs: now.getTime(),
      untilMs,
    });
    await insertAct(tx, rollout, { who: by.name, what: "approve", why: word.reason }, now);
    await note(tx);
    return accept(rollout);
  });
  return orRefuse(outcome);
}

/** Says that the plan must not run, which ends the rollout. Whoever started it may say so as well. */
export async function reject(
  db: Database,
  word: Word,
  by: Operator,
  now: Date,
  note: AuditNote,
): Promise<Rollout> {
  return db.transaction(async (tx) => {
    const rollout = await addressed(tx, word, by, now);
    const why = word.reason === "" ? "" : `: ${word.reason}`;
    const after = await leave(tx, rollout, "reject", `rejected by ${by.name}${why}`, by.name, now);
    await note(tx);
    return after;
  });
}

/** The rollout that somebody means, locked as it is, when it waits with the plan that they saw and all of it is theirs. */
async function addressed(tx: Transaction, word: Word, by: Operator, now: Date): Promise<Rollout> {
  const id: RolloutId = orRefuse(parseId("rollout", "rollout_id", word.rolloutId));
  if (word.reason.length > reasonCharsMax) {
    orRefuse(invalid("reason", `is longer than ${reasonCharsMax} characters`));
  }
  const kind = orRefuse(await findRollout(tx, by.scope, id)).spec.kind;
  await lockRollouts(tx, kind);
  const rollout = orRefuse(await findRollout(tx, by.scope, id));
  if (!isWaitingToBegin(rollout)) {
    const why = `Rollout ${id} is ${rollout.state}: only one that waits to begin is approved or rejected`;
    orRefuse(refuse({ kind: "precondition", why }));
  }
  const { clusters } = await readRolloutSnapshot(tx, rollout, now);
  const held = await listRolloutClusterIds(tx, by.scope, id);
  if (clusters.some((cluster) => !held.has(cluster.id))) orRefuse(beyondScope(by, id));
  if (word.planDigest === "") {
    orRefuse(invalid("plan_digest", `is missing: it is ${rollout.planDigest} now; look at that plan first`));
  }
  if (word.planDigest !== rollout.planDigest) {
    const why = `The plan of rollout ${id} is ${rollout.planDigest}, not ${word.planDigest.slice(0, 80)}: look at it again`;
    orRefuse(refuse({ kind: "changed", why }));
  }
  if (!(await lockRollout(tx, rollout))) {
    orRefuse(refuse({ kind: "stale", what: "rollout", seen: rollout.generation }));
  }
  return rollout;
}

async function leave(
  tx: Transaction,
  before: Rollout,
  event: "plan-changed" | "reject",
  because: string,
  who: string,
  now: Date,
): Promise<Rollout> {
  const after = orRefuse(stepRollout(before, event, because, now.getTime()));
  const { clusters: seen } = await readRolloutSnapshot(tx, before, now);
  const act = { who: event === "reject" ? who : "", what: event, why: because };
  return orRefuse(await commitRollout(tx, { before, after, changes: [], seen, act }, now));
}
