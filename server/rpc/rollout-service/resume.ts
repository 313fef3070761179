import { accept } from "../../domain/refusal.ts";
import { planResume } from "../../domain/rollout-decisions.ts";
import type { Rollout } from "../../domain/rollout.ts";
import type { AuditNote } from "../../store/audit-entries.ts";
import type { Database } from "../../store/pool.ts";
import type { Operator } from "../caller.ts";
import { decide, type Decision } from "./decide.ts";

/** Goes on, and tries the failed clusters again. */
export function resume(
  db: Database,
  decision: Decision,
  by: Operator,
  now: Date,
  note: AuditNote,
): Promise<Rollout> {
  return decide(db, by, decision, "resume", now, note, (snapshot) => {
    const changes = planResume(snapshot);
    const again = changes.length === 0 ? "" : `; ${changes.length} failed clusters are tried again`;
    return accept({ changes, because: `resumed by ${by.name}${again}` });
  });
}
