import type { Alert } from "#proto/fleet/v1/alert";
import type { Cluster } from "#proto/fleet/v1/cluster";
import { BundleKind } from "#proto/fleet/v1/common";
import { RolloutClusterState, type Rollout } from "#proto/fleet/v1/rollout";
import type { ReportedAlert, ReportedCluster, ReportedRollout } from "#report";
import { kindText } from "./bundle.ts";
import { bundleText, runningOf } from "./fleet.ts";
import { msOf } from "./time.ts";
import { healthWord, rolloutWord } from "./words.ts";

/** The reports that there are, by the names that fleetctl has for them. */
export const reportKinds = {
  exec: "Commands in pods",
  secrets: "Secrets read",
  privileges: "Privileges",
  rollouts: "Rollouts",
  coverage: "Coverage",
} as const;
export type ReportKind = keyof typeof reportKinds;

export function reportKind(word: string): ReportKind {
  return Object.hasOwn(reportKinds, word) ? (word as ReportKind) : "exec";
}

const dayMs = 86_400_000;
const weeksShown = 5;

export interface Week {
  /** Empty for the last seven days, otherwise the Monday it begins with. */
  readonly value: string;
  readonly fromMs: number;
  readonly untilMs: number;
}

/** The last seven days, and the weeks before, from Monday to Monday in UTC. */
export function weeksOf(nowMs: number): readonly Week[] {
  // The first day of 1970 was a Thursday.
  const mondayMs = Math.floor((nowMs / dayMs + 3) / 7) * 7 * dayMs - 3 * dayMs;
  const before = Array.from({ length: weeksShown }, (_, i): Week => {
    const fromMs = mondayMs - i * 7 * dayMs;
    const untilMs = Math.min(nowMs, fromMs + 7 * dayMs);
    return { value: new Date(fromMs).toISOString().slice(0, 10), fromMs, untilMs };
  });
  return [{ value: "", fromMs: nowMs - 7 * dayMs, untilMs: nowMs }, ...before];
}

export function reportedAlert(alert: Alert): ReportedAlert {
  const { clusterName: cluster, rule, priority, auditId, id, output, body, time } = alert;
  return { cluster, rule, priority, auditId, id, output, body, timeMs: msOf(time) ?? 0 };
}

export function reportedRollout(rollout: Rollout): ReportedRollout {
  const all = rollout.waves.flatMap(({ clusters }) => clusters);
  const of = all.filter(({ state }) => state !== RolloutClusterState.REMOVED);
  const endedMs = msOf(rollout.finishedAt);
  return {
    id: rollout.id,
    kind: kindText(rollout.bundle?.kind),
    bundle: bundleText(rollout.bundle),
    state: rolloutWord(rollout.state).text.replaceAll(" ", "-"),
    proved: of.filter(({ state }) => state === RolloutClusterState.PROVED).length,
    clusters: of.length,
    by: rollout.createdBy,
    startedMs: msOf(rollout.createdAt) ?? 0,
    ...(endedMs === undefined ? {} : { endedMs }),
    because: rollout.because,
  };
}

/** `alerts` is how many the cluster had in the period; undefined when they were not counted. */
export function reportedCluster(cluster: Cluster, alerts: number | undefined): ReportedCluster {
  const { name, labels } = cluster;
  const heardMs = msOf(cluster.lastSeenAt);
  return {
    name,
    region: labels["region"] ?? "",
    environment: labels["environment"] ?? "",
    team: labels["team"] ?? "",
    health: healthWord(cluster.health).text,
    agents: cluster.agentCount,
    rules: bundleText(runningOf(cluster, BundleKind.RULES)),
    shipper: bundleText(runningOf(cluster, BundleKind.SHIPPER)),
    ...(heardMs === undefined ? {} : { heardMs }),
    ...(alerts === undefined ? {} : { alerts }),
  };
}

/** The columns of a report that nothing stands in, in any of its rows. */
export function emptyColumns(
  columns: readonly string[],
  rows: readonly { readonly cells: readonly string[] }[],
): readonly string[] {
  return columns.filter((_, at) => rows.every(({ cells }) => (cells[at] ?? "") === ""));
}
