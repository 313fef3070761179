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
import type { RolloutPlan } from "../../domain/rollout-plan.ts";
import type { Scope } from "../../domain/scope.ts";
import { isSilent, waitReason } from "../../domain/rollout-turn.ts";
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
  const message = await messageOf(
    db,
    scope,
    rollout,
    clusters.map((cluster) => shownOf(cluster, rollout)),
  );
  const seen = await listRolloutClusterIds(db, scope, rollout.id);
  return clusters.every(({ id }) => seen.has(id)) ? message : partOf(message, seen);
}

/** The same of a rollout that has just begun, whose clusters all stand as the plan left them: the fleet is not read again for it. */
export function begunMessage(
  db: Db,
  scope: Scope,
  rollout: Rollout,
  plan: RolloutPlan,
): Promise<RolloutMessage> {
  const silent = new Set(plan.silent);
  const clusters = plan.waves.flatMap((wave, i) =>
    wave.clusters.map((cluster): ShownCluster => {
      const begun = { ...cluster, wave: i, state: "waiting", generation: 0n } as const;
      return { ...begun, reason: waitReason(begun, silent.has(cluster.id), rollout) };
    }),
  );
  return messageOf(db, scope, rollout, clusters);
}

/** A cluster of a rollout as people see it. */
type ShownCluster = Pick<
  RolloutCluster,
  "id" | "name" | "wave" | "state" | "reason" | "previous" | "generation" | "assignedAtMs" | "provedAtMs"
>;

function shownOf(cluster: RolloutCluster, rollout: Rollout): ShownCluster {
  return { ...cluster, reason: reasonOf(cluster, rollout) };
}

async function messageOf(
  db: Db,
  scope: Scope,
  rollout: Rollout,
  clusters: readonly ShownCluster[],
): Promise<RolloutMessage> {
  const digests = clusters.flatMap(({ previous }) => (previous === undefined ? [] : [previous]));
  const names = await findBundleNames(db, [rollout.digest, ...digests]);
  const stands = await shadowOf(db, scope, rollout);
  return create(RolloutSchema, {
    ...toMessage(rollout, clusters, names, await listVerdicts(db, rollout)),
    ...(stands === undefined ? {} : { shadow: stands }),
  });
}

function toMessage(
  rollout: Rollout,
  clusters: readonly ShownCluster[],
  names: ReadonlyMap<string, BundleName>,
  verdicts: ReadonlyMap<number, readonly GateVerdict[]>,
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

function toCluster(cluster: ShownCluster, rollout: Rollout, names: ReadonlyMap<string, BundleName>) {
  const previous = refOf(names, rollout.spec.kind, cluster.previous);
  return create(RolloutClusterSchema, {
    clusterId: cluster.id,
    clusterName: cluster.name,
    state: clusterStates[cluster.state],
    ...(previous === undefined ? {} : { previous }),
    generation: cluster.generation,
    ...at("assignedAt", cluster.assignedAtMs),
    ...at("provedAt", cluster.provedAtMs),
    reason: cluster.reason,
  });
}

/** Why a cluster is where it is; while it has the bundle and has not proved it, or is missed after it did, what it waits for. */
function reasonOf(cluster: RolloutCluster, rollout: Rollout): string {
  if (cluster.state === "proved" && rollout.state === "running") {
    const isMissed = missedSinceMs(cluster, rollout.digest, 0) !== undefined;
    return isMissed ? standing(cluster, rollout.digest) : cluster.reason;
  }
  if (cluster.state === "waiting" && cluster.reason === "") {
    return waitReason(cluster, isSilent(cluster), rollout);
  }
  const isWaiting = cluster.state === "assigned" && !isFinished(rollout.state);
  return isWaiting && cluster.reason === "" ? standing(cluster, rollout.digest) : cluster.reason;
}

function at<K extends string>(key: K, ms: number | undefined): { readonly [P in K]?: Timestamp } {
  return (ms === undefined ? {} : { [key]: timestampFromMs(ms) }) as { readonly [P in K]?: Timestamp };
}
