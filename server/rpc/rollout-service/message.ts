import { create } from "@bufbuild/protobuf";
import { timestampFromMs, type Timestamp } from "@bufbuild/protobuf/wkt";

import { GateState as WireGateState, GateVerdictSchema } from "#proto/fleet/v1/gate";
import {
  RolloutClusterSchema,
  RolloutClusterState as WireClusterState,
  RolloutSchema,
  RolloutState as WireState,
  WaveSchema,
  type Rollout as RolloutMessage,
} from "#proto/fleet/v1/rollout";

import type { GateState, GateVerdict } from "../../domain/gates/gate.ts";
import {
  missedSinceMs,
  standing,
  type RolloutCluster,
  type RolloutClusterState,
} from "../../domain/rollout-cluster.ts";
import type { Scope } from "../../domain/scope.ts";
import { waitReason } from "../../domain/rollout-turn.ts";
import { isFinished, type Rollout, type RolloutState } from "../../domain/rollout.ts";
import { findBundleNames, type BundleName } from "../../store/bundles.ts";
import type { Db } from "../../store/pool.ts";
import { readRolloutSnapshot } from "../../store/rollout-clusters.ts";
import { listVerdicts } from "../../store/rollout-gates.ts";
import { listRolloutClusterIds } from "../../store/rollouts.ts";
import { refOf } from "../messages.ts";
import { partOf } from "./part.ts";
import { shadowOf } from "./shadow.ts";
import { toSpec } from "./spec.ts";

const states = {
  running: WireState.RUNNING,
  paused: WireState.PAUSED,
  "rolling-back": WireState.ROLLING_BACK,
  "rolled-back": WireState.ROLLED_BACK,
  succeeded: WireState.SUCCEEDED,
  aborted: WireState.ABORTED,
  "awaiting-approval": WireState.AWAITING_APPROVAL,
  scheduled: WireState.SCHEDULED,
} as const satisfies Record<RolloutState, WireState>;

const clusterStates = {
  waiting: WireClusterState.WAITING,
  assigned: WireClusterState.ASSIGNED,
  proved: WireClusterState.PROVED,
  failed: WireClusterState.FAILED,
  reverted: WireClusterState.REVERTED,
  removed: WireClusterState.REMOVED,
} as const satisfies Record<RolloutClusterState, WireClusterState>;

const gateStates = {
  holds: WireGateState.HOLDS,
  waits: WireGateState.WAITS,
  fails: WireGateState.FAILS,
} as const satisfies Record<GateState, WireGateState>;

/** The rollout with its waves, the clusters of a scope, and the names of their bundles as they are now. */
export async function loadMessage(
  db: Db,
  scope: Scope,
  rollout: Rollout,
  now: Date,
): Promise<RolloutMessage> {
  const { clusters } = await readRolloutSnapshot(db, rollout, now);
  const digests = clusters.flatMap(({ previous }) => (previous === undefined ? [] : [previous]));
  const names = await findBundleNames(db, [rollout.digest, ...digests]);
  const stands = await shadowOf(db, scope, rollout);
  const message = create(RolloutSchema, {
    ...toMessage(rollout, clusters, names, await listVerdicts(db, rollout)),
    ...(stands === undefined ? {} : { shadow: stands }),
  });
  const seen = await listRolloutClusterIds(db, scope, rollout.id);
  return clusters.every(({ id }) => seen.has(id)) ? message : partOf(message, seen);
}

export function toMessage(
  rollout: Rollout,
  clusters: readonly RolloutCluster[],
  names: ReadonlyMap<string, BundleName>,
  verdicts: ReadonlyMap<number, readonly GateVerdict[]> = new Map(),
): RolloutMessage {
  const byWave = Map.groupBy(clusters, (cluster) => cluster.wave);
  const bundle = refOf(names, rollout.spec.kind, rollout.digest);
  return create(RolloutSchema, {
    id: rollout.id,
    spec: toSpec(rollout.spec),
    ...(bundle === undefined ? {} : { bundle }),
    state: states[rollout.state],
    because: rollout.because,
    wave: rollout.wave,
    generation: rollout.generation,
    planDigest: rollout.planDigest,
    waves: rollout.waves.map((wave, i) =>
      create(WaveSchema, {
        name: wave.name,
        clusters: (byWave.get(i) ?? []).map((cluster) => toCluster(cluster, rollout, names)),
        gates: (verdicts.get(i) ?? []).map((verdict) =>
          create(GateVerdictSchema, { ...verdict, state: gateStates[verdict.state] }),
        ),
        ...at("startedAt", wave.startedAtMs),
        ...at("finishedAt", wave.finishedAtMs),
      }),
    ),
    createdBy: rollout.createdBy,
    pending: rollout.pending === true && !isFinished(rollout.state),
    ...at("createdAt", rollout.createdAtMs),
    ...at("finishedAt", rollout.finishedAtMs),
  });
}

function toCluster(cluster: RolloutCluster, rollout: Rollout, names: ReadonlyMap<string, BundleName>) {
  const previous = refOf(names, rollout.spec.kind, cluster.previous);
  return create(RolloutClusterSchema, {
    clusterId: cluster.id,
    clusterName: cluster.name,
    state: clusterStates[cluster.state],
    ...(previous === undefined ? {} : { previous }),
    generation: cluster.generation,
    ...at("assignedAt", cluster.assignedAtMs),
    ...at("provedAt", cluster.provedAtMs),
    reason: reasonOf(cluster, rollout),
  });
}

/** Why a cluster is where it is; while it has the bundle and has not proved it, or is missed after it did, what it waits for. */
function reasonOf(cluster: RolloutCluster, rollout: Rollout): string {
  if (cluster.state === "proved" && rollout.state === "running") {
    const isMissed = missedSinceMs(cluster, rollout.digest, 0) !== undefined;
    return isMissed ? standing(cluster, rollout.digest) : cluster.reason;
  }
  if (cluster.state === "waiting" && cluster.reason === "") return waitReason(cluster, rollout);
  const isWaiting = cluster.state === "assigned" && !isFinished(rollout.state);
  return isWaiting && cluster.reason === "" ? standing(cluster, rollout.digest) : cluster.reason;
}

function at<K extends string>(key: K, ms: number | undefined): { readonly [P in K]?: Timestamp } {
  return (ms === undefined ? {} : { [key]: timestampFromMs(ms) }) as { readonly [P in K]?: Timestamp };
}
