import type { Rollout } from "../../domain/rollout.ts";
import type { AuditNote } from "../../store/audit-entries.ts";
import type { Database } from "../../store/pool.ts";
import type { Operator } from "../caller.ts";
import { decide, nothingBut, type Decision } from "./decide.ts";

/** Stops new waves; clusters that were assigned the bundle go on to prove it. */
export function pause(
  db: Database,
  decision: Decision,
  by: Operator,
  now: Date,
  note: AuditNote,
): Promise<Rollout> {
  return decide(db, by, decision, "pause", now, note, nothingBut(`paused by ${by.name}`));
}
