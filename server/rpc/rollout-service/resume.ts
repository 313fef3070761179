import { accept } from "../../domain/refusal.ts";
import { planResume } from "../../domain/rollout-decisions.ts";
import type { Rollout } from "../../domain/rollout.ts";
import type { AuditNote } from "../../store/audit-entries.ts";
import type { Database } from "../../store/pool.ts";
import { findRollout } from "../../store/rollouts.ts";
import type { Operator } from "../caller.ts";
import { decide, type Decision } from "./decide.ts";
import { takeNewPlan } from "./new-plan.ts";
import type { Planning } from "./prepare.ts";

/** Goes on, and tries the failed clusters again. */
export async function resume(
  db: Database,
  decision: Decision & { readonly planDigest: string },
  by: Operator,
  planning: Planning,
  now: Date,
  note: AuditNote,
): Promise<Rollout> {
  const found = await findRollout(db, by.scope, decision.rolloutId);
  if (found.ok && found.value.pending === true && found.value.state === "paused") {
    return takeNewPlan(db, found.value, decision, by, planning, now, note);
  }
  return decide(db, by, decision, "resume", now, note, (snapshot) => {
    const changes = planResume(snapshot);
    const again = changes.length === 0 ? "" : `; ${changes.length} failed clusters are tried again`;
    return accept({ changes, because: `resumed by ${by.name}${again}` });
  });
}
