import type { Digest, RolloutId } from "./ids.ts";
import { isFailure, judgeAgent, type AgentView } from "./rollout-proof.ts";

export type RolloutClusterState = "waiting" | "assigned" | "proved" | "failed" | "reverted" | "removed";

/** One cluster of a rollout: what the rollout remembers of it, and what the fleet says of it now. */
export interface RolloutCluster {
  readonly id: string;
  readonly name: string;
  readonly wave: number;
  readonly state: RolloutClusterState;
  readonly reason: string;
  /** What it goes back to; absent when it ran nothing of the kind. */
  readonly previous?: Digest;
  /** Whether targets metadata still lists `previous`: agents refuse what it does not. */
  readonly previousListed: boolean;
  /** The assignment's generation that gave it the bundle, or took it back; 0 before. */
  readonly generation: bigint;
  readonly assignedAtMs?: number;
  readonly provedAtMs?: number;
  readonly retired: boolean;
  /** It joined the fleet or the selector after the rollout was planned. */
  readonly late?: boolean;
  /** Its labels no longer match the selector. */
  readonly strayed?: boolean;
  /** A rollout of the kind that was started after this one had to do with it. */
  readonly superseded?: boolean;
  /** The cluster's assignment now, as far as this kind of bundle goes. */
  readonly assignment: {
    readonly generation: bigint;
    readonly digest?: Digest;
    readonly rolloutId?: RolloutId;
  };
  /** Another unfinished rollout of the kind that holds it. */
  readonly heldBy?: RolloutId;
  /** Agents whose identity is good. */
  readonly agents: readonly AgentView[];
}

/** What happens to one cluster: its new state, and the bundle it is assigned, if any. */
export interface ClusterChange {
  readonly id: string;
  readonly to: RolloutClusterState;
  /** Absent when its assignment stays as it is. */
  readonly assign?: Digest;
  readonly reason: string;
}

/** What is needed to judge a cluster, besides the cluster. */
export interface Judgement {
  readonly rolloutId: RolloutId;
  readonly digest: Digest;
  readonly deadlineMs: number;
  readonly nowMs: number;
}

/** Why a cluster leaves the rollout, or undefined while it belongs to it. */
export function leaves(cluster: RolloutCluster, rolloutId: RolloutId): ClusterChange | undefined {
  if (cluster.state === "removed" || cluster.state === "failed") return undefined;
  const gone = (reason: string): ClusterChange => ({ id: cluster.id, to: "removed", reason });
  if (cluster.retired) return gone("was retired");
  if (cluster.state === "waiting") {
    return cluster.strayed === true ? gone("its labels no longer match the selector") : undefined;
  }
  const { rolloutId: by } = cluster.assignment;
  if (by === rolloutId) return undefined;
  return gone(
    by === undefined ? "its assignment was changed from outside" : `was taken over by rollout ${by}`,
  );
}

/** Whether an assigned cluster has proved or failed, or undefined while nothing is decided. */
export function judgeAssigned(cluster: RolloutCluster, by: Judgement): ClusterChange | undefined {
  const verdicts = cluster.agents.map((agent) => judgeAgent(agent, by.digest, cluster.generation));
  const failure = verdicts.find(isFailure);
  if (failure !== undefined) return fails(cluster, failure.why);
  if (verdicts.length > 0 && verdicts.every((verdict) => verdict.kind === "proved")) {
    return { id: cluster.id, to: "proved", reason: "" };
  }
  if (by.nowMs - (cluster.assignedAtMs ?? by.nowMs) < by.deadlineMs) return undefined;
  return fails(cluster, `did not prove within ${seconds(by.deadlineMs)}: ${standing(cluster, by.digest)}`);
}

/**
 * Whether a cluster that has proved is lost again: an agent went back or runs something else, or went silent and did not
 * come back within the deadline.
 */
export function judgeProved(cluster: RolloutCluster, by: Judgement): ClusterChange | undefined {
  const verdicts = cluster.agents.map((agent) => judgeAgent(agent, by.digest, cluster.generation));
  const failure = verdicts.find(isFailure);
  if (failure !== undefined) return fails(cluster, failure.why);
  const lost = cluster.agents.find((agent, i) => verdicts[i]?.kind === "other");
  if (lost !== undefined) return fails(cluster, `agent "${lost.name}" runs another bundle again`);
  return undefined;
}

/** Whether a proved cluster is heard of and runs the bundle now: only such a one lets a wave pass. */
export function holds(cluster: RolloutCluster, digest: Digest): boolean {
  const proves = (agent: AgentView) => judgeAgent(agent, digest, cluster.generation).kind === "proved";
  return cluster.agents.length > 0 && cluster.agents.every((agent) => !agent.silent && proves(agent));
}

/**
 * A failed cluster is sent back to what it ran before, so that it never keeps trying a bad bundle; the bundle that it
 * runs (its last known good) is the same one, so detection does not stop.
 */
export function fails(cluster: RolloutCluster, why: string): ClusterChange {
  const back = goesBackTo(cluster);
  return back === undefined
    ? { id: cluster.id, to: "failed", reason: `${why}; ${cannotGoBack(cluster)}` }
    : { id: cluster.id, to: "failed", assign: back, reason: why };
}

/** The bundle a cluster can be sent back to. There is no way back to nothing: a cluster never ends without rules. */
export function goesBackTo(cluster: RolloutCluster): Digest | undefined {
  return cluster.previousListed ? cluster.previous : undefined;
}

/** Why a cluster without a way back keeps its assignment. */
export function cannotGoBack(cluster: RolloutCluster): string {
  return cluster.previous === undefined
    ? "it ran nothing of the kind before, so its assignment stays"
    : "what it ran before is no longer released, so its assignment stays";
}

/** Where a cluster that has not proved stands, in words: the first agent that keeps it back. */
export function standing(cluster: RolloutCluster, digest: Digest): string {
  if (cluster.agents.length === 0) return "it has no agent";
  for (const agent of cluster.agents) {
    const verdict = judgeAgent(agent, digest, cluster.generation);
    if (agent.silent) return `agent "${agent.name}" is silent`;
    if (verdict.kind !== "proved") return `agent "${agent.name}" ${progress(agent, cluster.generation)}`;
  }
  return "proved";
}

function progress(agent: AgentView, generation: bigint): string {
  if (agent.attempt !== undefined && agent.attempt.generation >= generation) {
    return `is at "${agent.attempt.phase}"`;
  }
  return agent.observedGeneration >= generation
    ? "has seen the assignment"
    : "has not seen the assignment yet";
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}
