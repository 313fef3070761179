import { accept } from "../../domain/refusal.ts";
import { planAbort } from "../../domain/rollout-decisions.ts";
import type { Rollout } from "../../domain/rollout.ts";
import type { AuditNote } from "../../store/audit-entries.ts";
import type { Database } from "../../store/pool.ts";
import type { Operator } from "../caller.ts";
import { decide, type Decision } from "./decide.ts";

/** Ends it; whoever has not proved the bundle goes back. */
export function abort(
  db: Database,
  decision: Decision,
  by: Operator,
  now: Date,
  note: AuditNote,
): Promise<Rollout> {
  return decide(db, by, decision, "abort", now, note, (snapshot) => {
    const changes = planAbort(snapshot);
    const back = changes.filter((change) => change.assign !== undefined).length;
    return accept({
      changes,
      because: `aborted by ${by.name}; ${back} clusters that had not proved are sent back`,
    });
  });
}
