import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { BundleKind } from "#proto/fleet/v1/common";
import { GateState } from "#proto/fleet/v1/gate";
import { type Rollout, RolloutClusterState, RolloutState, type Wave } from "#proto/fleet/v1/rollout";
import type { ClusterStep, GateLine, RolloutProgress, RolloutStep, WaveProgress } from "./output/rollout.ts";
import { kindOf, nameOf } from "./views.ts";

const rolloutWords: Readonly<Record<RolloutState, RolloutStep>> = {
  [RolloutState.UNSPECIFIED]: "unknown",
  [RolloutState.RUNNING]: "running",
  [RolloutState.PAUSED]: "paused",
  [RolloutState.ROLLING_BACK]: "rolling-back",
  [RolloutState.ROLLED_BACK]: "rolled-back",
  [RolloutState.SUCCEEDED]: "succeeded",
  [RolloutState.ABORTED]: "aborted",
  [RolloutState.AWAITING_APPROVAL]: "awaiting-approval",
  [RolloutState.SCHEDULED]: "scheduled",
};

const clusterWords: Readonly<Record<RolloutClusterState, ClusterStep>> = {
  [RolloutClusterState.UNSPECIFIED]: "waiting",
  [RolloutClusterState.WAITING]: "waiting",
  [RolloutClusterState.ASSIGNED]: "assigned",
  [RolloutClusterState.PROVED]: "proved",
  [RolloutClusterState.FAILED]: "failed",
  [RolloutClusterState.REVERTED]: "reverted",
  [RolloutClusterState.REMOVED]: "removed",
};

const gateWords: Readonly<Record<GateState, GateLine["state"]>> = {
  [GateState.UNSPECIFIED]: "unknown",
  [GateState.HOLDS]: "holds",
  [GateState.WAITS]: "waits",
  [GateState.FAILS]: "fails",
};

/** A stored rollout as the pictures want it. */
export function progressOf(rollout: Rollout): RolloutProgress {
  return {
    id: rollout.id,
    kind: kindOf(rollout.bundle?.kind ?? rollout.spec?.kind ?? BundleKind.UNSPECIFIED),
    bundle: nameOf(rollout.bundle),
    state: rolloutWords[rollout.state] ?? "unknown",
    because: rollout.because,
    ...(rollout.spec?.emergency === true ? { emergency: true } : {}),
    wave: rollout.wave,
    waves: rollout.waves.map(waveOf),
    ...time("createdAt", rollout.createdAt),
    ...time("finishedAt", rollout.finishedAt),
  };
}

function waveOf(wave: Wave): WaveProgress {
  return {
    name: wave.name,
    gates: wave.gates.map(({ gate, state, measured, limit, words }) => ({
      gate,
      state: gateWords[state] ?? "unknown",
      measured,
      limit,
      words,
    })),
    clusters: wave.clusters.map((cluster) => ({
      name: cluster.clusterName,
      step: clusterWords[cluster.state] ?? "waiting",
      reason: cluster.reason,
      ...time("assignedAt", cluster.assignedAt),
      ...time("provedAt", cluster.provedAt),
    })),
    ...time("startedAt", wave.startedAt),
    ...time("finishedAt", wave.finishedAt),
  };
}

function time<K extends string>(key: K, at: Timestamp | undefined): { [P in K]?: number } {
  return at === undefined ? {} : ({ [key]: timestampMs(at) } as { [P in K]?: number });
}
