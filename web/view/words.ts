import { ClusterHealth } from "#proto/fleet/v1/cluster";
import { GateState } from "#proto/fleet/v1/gate";
import { RolloutClusterState, RolloutState } from "#proto/fleet/v1/rollout";

/** What a state means for who looks at it. Each tone has a colour and a sign of its own, and a word always stands beside it. */
export type Tone = "ok" | "busy" | "warn" | "bad" | "idle";

export interface Word {
  readonly tone: Tone;
  readonly text: string;
}

const unknown: Word = { tone: "idle", text: "unknown" };

const healths: Readonly<Record<ClusterHealth, Word>> = {
  [ClusterHealth.UNSPECIFIED]: unknown,
  [ClusterHealth.HEALTHY]: { tone: "ok", text: "healthy" },
  [ClusterHealth.UPDATING]: { tone: "busy", text: "updating" },
  [ClusterHealth.DEGRADED]: { tone: "warn", text: "degraded" },
  [ClusterHealth.SILENT]: { tone: "bad", text: "silent" },
};

/** A newer server may have states that this console does not know. */
export function healthWord(health: ClusterHealth): Word {
  return healths[health] ?? unknown;
}

/** What needs a person first. */
export function healthRank(health: ClusterHealth): number {
  return [
    ClusterHealth.SILENT,
    ClusterHealth.DEGRADED,
    ClusterHealth.UPDATING,
    ClusterHealth.HEALTHY,
  ].findIndex((each) => each === health);
}

const rolloutStates: Readonly<Record<RolloutState, Word>> = {
  [RolloutState.UNSPECIFIED]: unknown,
  [RolloutState.RUNNING]: { tone: "busy", text: "running" },
  [RolloutState.PAUSED]: { tone: "warn", text: "paused" },
  [RolloutState.ROLLING_BACK]: { tone: "warn", text: "rolling back" },
  [RolloutState.ROLLED_BACK]: { tone: "bad", text: "rolled back" },
  [RolloutState.SUCCEEDED]: { tone: "ok", text: "succeeded" },
  [RolloutState.ABORTED]: { tone: "idle", text: "aborted" },
  [RolloutState.AWAITING_APPROVAL]: { tone: "warn", text: "awaiting approval" },
  [RolloutState.SCHEDULED]: { tone: "idle", text: "scheduled" },
};

export function rolloutWord(state: RolloutState): Word {
  return rolloutStates[state] ?? unknown;
}

const clusterStates: Readonly<Record<RolloutClusterState, Word>> = {
  [RolloutClusterState.UNSPECIFIED]: unknown,
  [RolloutClusterState.WAITING]: { tone: "idle", text: "waiting" },
  [RolloutClusterState.ASSIGNED]: { tone: "busy", text: "assigned" },
  [RolloutClusterState.PROVED]: { tone: "ok", text: "proved" },
  [RolloutClusterState.FAILED]: { tone: "bad", text: "failed" },
  [RolloutClusterState.REVERTED]: { tone: "warn", text: "sent back" },
  [RolloutClusterState.REMOVED]: { tone: "idle", text: "left" },
};

export function rolloutClusterWord(state: RolloutClusterState): Word {
  return clusterStates[state] ?? unknown;
}

const gateStates: Readonly<Record<GateState, Word>> = {
  [GateState.UNSPECIFIED]: unknown,
  [GateState.HOLDS]: { tone: "ok", text: "holds" },
  [GateState.WAITS]: { tone: "busy", text: "waits" },
  [GateState.FAILS]: { tone: "bad", text: "fails" },
};

export function gateWord(state: GateState): Word {
  return gateStates[state] ?? unknown;
}

/** Falco's priorities, the most severe first. */
export const priorities = [
  "Emergency",
  "Alert",
  "Critical",
  "Error",
  "Warning",
  "Notice",
  "Informational",
  "Debug",
] as const;

export function priorityTone(priority: string): Tone {
  const at = priorities.findIndex((each) => each === priority);
  if (at === -1) return "idle";
  if (at <= 3) return "bad";
  return at === 4 ? "warn" : at === 5 ? "busy" : "idle";
}

/** What an agent's attempt to run a bundle came to. */
export function attemptTone(phase: string): Tone {
  if (phase === "applied") return "ok";
  return phase === "rejected" || phase === "rolled-back" ? "bad" : "busy";
}
