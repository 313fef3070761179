import { equals } from "@bufbuild/protobuf";

import { RolloutClusterState, RolloutSchema, RolloutState, type Rollout } from "#proto/fleet/v1/rollout";

import type { RolloutId } from "../../domain/ids.ts";
import type { Scope } from "../../domain/scope.ts";
import type { Db } from "../../store/pool.ts";
import { findRollout } from "../../store/rollouts.ts";
import type { Signal } from "../../sessions/signal.ts";
import { eitherEnd, sayWhyEnded, type Until } from "../leaving.ts";
import { orRefuse } from "../refusals.ts";
import { loadWhole } from "./people-message.ts";

/** Changes that no signal told of, made by another server, are seen after this time. */
const lookMs = 500;

/**
 * The rollout now and whenever it changes, until nothing will happen by itself any more. What is sent is read when the
 * reader takes it, so a slow one skips pictures in between and never the last. Ends as unavailable when the server drains.
 */
export async function* watch(
  db: Db,
  scope: Scope,
  rolloutId: RolloutId,
  changes: Signal,
  clock: () => Date,
  until: Until,
): AsyncGenerator<{ readonly rollout: Rollout }> {
  const signal = eitherEnd(until);
  let sent: Rollout | undefined;
  while (!signal.aborted) {
    const rung = changes.wait(lookMs, signal);
    const found = orRefuse(await findRollout(db, scope, rolloutId));
    const rollout = await loadWhole(db, scope, found, clock());
    if (sent === undefined || !equals(RolloutSchema, sent, rollout)) yield { rollout };
    sent = rollout;
    if (isAtRest(rollout)) return;
    await rung;
  }
  sayWhyEnded(until);
}

function isAtRest(rollout: Rollout): boolean {
  if (rollout.state === RolloutState.RUNNING || rollout.state === RolloutState.ROLLING_BACK) return false;
  if (rollout.state === RolloutState.SCHEDULED) return false;
  if (rollout.state !== RolloutState.PAUSED) return true;
  // Paused, but clusters that were assigned the bundle still prove it or fail.
  const clusters = rollout.waves.flatMap((wave) => wave.clusters);
  return clusters.every((cluster) => cluster.state !== RolloutClusterState.ASSIGNED);
}
