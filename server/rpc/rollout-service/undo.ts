import { accept } from "../../domain/refusal.ts";
import { planUndo } from "../../domain/rollout-decisions.ts";
import type { Rollout } from "../../domain/rollout.ts";
import type { AuditNote } from "../../store/audit-entries.ts";
import type { Database } from "../../store/pool.ts";
import type { Operator } from "../caller.ts";
import { decide, type Decision } from "./decide.ts";

/** Sends back every cluster that it gave the bundle and that nobody moved on. */
export function undo(
  db: Database,
  decision: Decision,
  by: Operator,
  now: Date,
  note: AuditNote,
): Promise<Rollout> {
  return decide(db, by, decision, "undo", now, note, (snapshot) => {
    const planned = planUndo(snapshot);
    if (!planned.ok) return planned;
    return accept({ changes: planned.value.changes, because: `${planned.value.because} (by ${by.name})` });
  });
}
