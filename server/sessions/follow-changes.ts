import type { CaKeeper } from "../ca-keeper.ts";
import { clustersAtOnce } from "../domain/vanguard.ts";
import type { Changed } from "./change-feed.ts";
import type { DesiredBook } from "./desired.ts";
import type { Registry } from "./registry.ts";

/** Reads again what changed, ends who may not be spoken with any more, and makes the others look. */
export function followChanges(
  desired: Pick<DesiredBook, "forgetTrust" | "refresh">,
  registry: Pick<Registry, "endCluster" | "endAgent" | "wake" | "wakeAll">,
  cas: Pick<CaKeeper, "refresh">,
): (changed: Changed) => Promise<void> {
  return async ({ clusterIds, isTrustChanged }) => {
    if (isTrustChanged) {
      desired.forgetTrust();
      await cas.refresh();
    }
    for (const some of groupsOf(clusterIds, clustersAtOnce)) {
      const gone = await desired.refresh(some);
      for (const clusterId of gone.clusterIds) registry.endCluster(clusterId, { kind: "revoked" });
      for (const agentId of gone.agentIds) registry.endAgent(agentId, { kind: "revoked" });
      registry.wake(some);
    }
    if (isTrustChanged) registry.wakeAll();
  };
}

/**
 * A wave of thousands goes out in turns: while the next clusters are read the first ones apply and prove, and nobody else who calls waits
 * until all have been told.
 */
function* groupsOf<T>(all: Iterable<T>, most: number): Generator<readonly T[]> {
  let turn: T[] = [];
  for (const each of all) {
    turn.push(each);
    if (turn.length < most) continue;
    yield turn;
    turn = [];
  }
  if (turn.length > 0) yield turn;
}
