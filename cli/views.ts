import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { ClusterHealth, type Rates, type Running } from "#proto/fleet/v1/cluster";
import { BundleKind, type BundleRef } from "#proto/fleet/v1/common";
import { GateState } from "#proto/fleet/v1/gate";
import { type Rollout, RolloutClusterState, RolloutState, type Wave } from "#proto/fleet/v1/rollout";
import { renderAge } from "./output/quantity.ts";
import type { ClusterStep, GateLine, RolloutProgress, RolloutStep, WaveProgress } from "./output/rollout.ts";

/** How long ago, or an empty text when it never was. */
export function ageOf(at: Timestamp | undefined, now: number): string {
  return at === undefined ? "" : renderAge(now - timestampMs(at));
}

/** How long until, "expired" when it has passed. */
export function leftOf(at: Timestamp | undefined, now: number): string {
  if (at === undefined) return "";
  const left = timestampMs(at) - now;
  // Rounded up to the second, so that an hour just given shows as 1h.
  return left <= 0 ? "expired" : renderAge(left + 999);
}

export function isoOf(at: Timestamp | undefined): string {
  return at === undefined ? "" : new Date(timestampMs(at)).toISOString();
}

/** The newest minute that covers enough of itself to be worth a rate; a minute has just begun when no other is there. */
export function newestRates(minutes: readonly Rates[]): Rates | undefined {
  return minutes.findLast((minute) => secondsOf(minute) >= 10) ?? minutes.at(-1);
}

/** How many seconds the counters of a minute cover. */
export function secondsOf(rates: Rates): number {
  return rates.seconds === 0 ? 60 : rates.seconds;
}

/** `NAME@VERSION`, or the short digest of a bundle without a name, or an empty text for no bundle. */
export function nameOf(ref: BundleRef | undefined): string {
  if (ref === undefined || (ref.name === "" && ref.digest === "")) return "";
  return ref.name === "" ? shortDigest(ref.digest) : `${ref.name}@${ref.version}`;
}

/** Twelve hex digits: enough to tell bundles of a fleet apart, short enough for a table. */
export function shortDigest(digest: string): string {
  return digest.replace(/^sha256:/, "").slice(0, 12);
}

export function kindOf(kind: BundleKind): string {
  if (kind === BundleKind.RULES) return "rules";
  if (kind === BundleKind.LAYER) return "layer";
  return kind === BundleKind.SHIPPER ? "shipper" : "unknown";
}

export function labelsOf(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
}

export function runningOf(running: readonly Running[], kind: BundleKind): Running | undefined {
  return running.find((item) => item.bundle?.kind === kind);
}

const healthWords: Readonly<Record<ClusterHealth, string>> = {
  [ClusterHealth.UNSPECIFIED]: "unknown",
  [ClusterHealth.HEALTHY]: "healthy",
  [ClusterHealth.UPDATING]: "updating",
  [ClusterHealth.DEGRADED]: "degraded",
  [ClusterHealth.SILENT]: "silent",
};

/** A newer server may send a number that this fleetctl does not know. */
export function healthOf(health: ClusterHealth): string {
  return healthWords[health] ?? "unknown";
}

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
