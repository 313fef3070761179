import { parseId } from "../../domain/ids.ts";
import { accept, refuse, type Outcome } from "../../domain/refusal.ts";
import type { ClusterChange } from "../../domain/rollout-cluster.ts";
import type { CommittedStep, OnCommitted } from "../../domain/rollout-spans.ts";
import type { RolloutSnapshot } from "../../domain/rollout-step.ts";
import { atGeneration, stepRollout, type Rollout, type RolloutEvent } from "../../domain/rollout.ts";
import type { AuditNote } from "../../store/audit-entries.ts";
import type { Database } from "../../store/pool.ts";
import { readRolloutSnapshot } from "../../store/rollout-clusters.ts";
import { commitRollout } from "../../store/rollout-commits.ts";
import { findRollout, listRolloutClusterIds, lockRollouts } from "../../store/rollouts.ts";
import { credentialText, type Operator } from "../caller.ts";
import { orRefuse } from "../refusals.ts";

/** What a person decides about a rollout at a generation that they have seen. */
export interface Decision {
  readonly rolloutId: string;
  readonly generation: bigint;
  /** Told of the step when it is written down. */
  readonly onCommitted?: OnCommitted | undefined;
}

/** What becomes of the clusters, and why, in the words that people read afterwards. */
export interface Consequence {
  readonly changes: readonly ClusterChange[];
  readonly because: string;
}

/**
 * Loads, decides, and writes all of it or nothing. A decision is about all clusters of the rollout, so it takes a scope
 * that holds them all. Refused as stale when the rollout moved since the given generation; a
 * cluster that moved in between is looked at again.
 */
export async function decide(
  db: Database,
  by: Operator,
  decision: Decision,
  event: RolloutEvent,
  now: Date,
  note: AuditNote,
  consequence: (snapshot: RolloutSnapshot) => Outcome<Consequence>,
): Promise<Rollout> {
  const id = orRefuse(parseId("rollout", "rollout_id", decision.rolloutId));
  const attemptsMax = 5;
  for (let attempt = 1; ; attempt += 1) {
    const decided = await db.transaction(async (tx) => {
      const found = orRefuse(await findRollout(tx, by.scope, id));
      // Who goes back must not be taken by a rollout that starts at the same moment.
      await lockRollouts(tx, found.spec.kind);
      const before = orRefuse(
        atGeneration(orRefuse(await findRollout(tx, by.scope, id)), decision.generation),
      );
      // Asked first without words, so that an illegal step is refused before its consequences are.
      orRefuse(stepRollout(before, event, "", now.getTime()));
      const snapshot = await readRolloutSnapshot(tx, before, now);
      const held = await listRolloutClusterIds(tx, by.scope, id);
      if (snapshot.clusters.some((cluster) => !held.has(cluster.id))) orRefuse(beyondScope(by, id));
      const { changes, because } = orRefuse(consequence(snapshot));
      const after = orRefuse(stepRollout(before, event, because, now.getTime()));
      const act = { who: by.name, what: event, why: because };
      const commit = { before, after, changes, seen: snapshot.clusters, act };
      const done = await commitRollout(tx, commit, now);
      if (!done.ok) return done;
      await note(tx);
      const times = { fromMs: now.getTime(), nowMs: now.getTime() };
      return accept<CommittedStep>({ ...commit, because, ...times });
    });
    if (decided.ok) {
      decision.onCommitted?.(decided.value);
      return decided.value.after;
    }
    // A proof that came in between moved a cluster, not the rollout: the decision still holds, on the new picture.
    if (attempt === attemptsMax) return orRefuse(decided);
  }
}

/** The refusal of a decision about clusters that somebody does not hold. */
export function beyondScope(by: Operator, id: string) {
  const why = `Rollout ${id} reaches beyond the scope of the ${credentialText(by)}: deciding about it takes a scope that holds all of its clusters`;
  return refuse({ kind: "forbidden", why });
}

/** For decisions that change no cluster. */
export function nothingBut(because: string): () => Outcome<Consequence> {
  return () => accept({ changes: [], because });
}
