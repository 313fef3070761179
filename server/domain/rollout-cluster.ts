import type { Digest, RolloutId } from "./ids.ts";
import { heartbeatMs } from "./liveness.ts";
import { attemptAt, isFailure, judgeAgent, type AgentView } from "./rollout-proof.ts";

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
  /** Nothing is a way back too: it is a layer, and the rules under it go on. */
  readonly mayEndWithout?: boolean;
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
  /** Agents whose identity is good, without those that have left and are not asked. */
  readonly agents: readonly AgentView[];
  /** Names of those that left with the rollout's bundle: who starts one again starts that, until it hears of another. */
  readonly leftWith?: readonly string[];
}

/** What happens to one cluster: its new state, and the bundle it is assigned, if any. */
export interface ClusterChange {
  readonly id: string;
  readonly to: RolloutClusterState;
  /** Absent when its assignment stays as it is; null takes away what it names. */
  readonly assign?: Digest | null;
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
  if (cluster.state === "removed") return undefined;
  const gone = (reason: string): ClusterChange => ({ id: cluster.id, to: "removed", reason });
  if (cluster.retired) return gone("was retired");
  // What a failed cluster is assigned is no concern of the rollout any more; its failure is.
  if (cluster.state === "failed") return undefined;
  if (cluster.state === "waiting") {
    return cluster.strayed === true ? gone("its labels no longer match the selector") : undefined;
  }
  const { rolloutId: by } = cluster.assignment;
  if (by === rolloutId) return undefined;
  return gone(
    by === undefined ? "its assignment was changed from outside" : `was taken over by rollout ${by}`,
  );
}

/**
 * Whether an agent that left is asked on, though others of its cluster are there: it tried the bundle that the cluster was given and does
 * not prove it, or it has troubles and left since. Whoever stops a sick agent takes neither its failure nor its troubles away
 * by that: it is waited for as one that was lost. That a try is of after the assignment its generation says, whatever clocks do.
 */
export function staysAsked(
  { state, generation, assignedAtMs = 0 }: Pick<RolloutCluster, "state" | "generation" | "assignedAtMs">,
  agent: AgentView,
  leftMs: number,
  digest: Digest,
): boolean {
  if (state !== "assigned" && state !== "proved") return false;
  const hasTried = attemptAt(agent, digest, generation) !== undefined;
  if (hasTried && judgeAgent(agent, digest, generation).kind !== "proved") return true;
  // Both times are by servers' clocks, which may differ a little.
  return (agent.raised ?? []).length > 0 && leftMs + heartbeatMs >= assignedAtMs;
}

/** Whether an agent would start with a bundle: it runs it, or was about to. */
export function startsWith({ running, attempt }: AgentView, digest: Digest): boolean {
  if (running === digest) return true;
  return attempt?.digest === digest && attempt.phase !== "rejected" && attempt.phase !== "rolled-back";
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

/** Whether a cluster that has proved is lost again: an agent went back, or runs something else. Silence is for `missedSinceMs`. */
export function judgeProved(cluster: RolloutCluster, by: Judgement): ClusterChange | undefined {
  const verdicts = cluster.agents.map((agent) => judgeAgent(agent, by.digest, cluster.generation));
  const failure = verdicts.find(isFailure);
  if (failure !== undefined) return fails(cluster, failure.why);
  const lost = cluster.agents.find((agent, i) => verdicts[i]?.kind === "other");
  if (lost !== undefined) return fails(cluster, `agent "${lost.name}" runs another bundle again`);
  return undefined;
}

/**
 * From when a cluster that has proved is missed: since its first agent that does not hold the bundle was last heard of, or was enrolled
 * or came back and has not proved it. That one is heard of and runs nothing, and that there is none, nobody looked at before
 * `lookedMs`. Undefined when none is missed.
 */
export function missedSinceMs(cluster: RolloutCluster, digest: Digest, lookedMs: number): number | undefined {
  if (cluster.agents.length === 0) return lookedMs;
  const since = cluster.agents.flatMap((agent) => {
    if (agent.silent) return [agent.lastSeenMs ?? 0];
    const proves = judgeAgent(agent, digest, cluster.generation).kind === "proved";
    if (proves) return [];
    const { enrolledMs = 0, connectedMs = 0 } = agent;
    // One that comes back could not prove it before. A newcomer could, however often it has to begin again.
    const isNew = enrolledMs > (cluster.provedAtMs ?? 0);
    return [Math.max(enrolledMs, isNew ? 0 : connectedMs, lookedMs)];
  });
  return since.length === 0 ? undefined : Math.min(...since);
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

/**
 * The bundle a cluster can be sent back to; undefined when there is no way back. A cluster never ends without rules, so nothing
 * (null) is a way back for layers alone.
 */
export function goesBackTo(cluster: RolloutCluster): Digest | null | undefined {
  const back = cluster.previousListed ? cluster.previous : undefined;
  return back === undefined && cluster.mayEndWithout === true ? null : back;
}

/** Whether a failed cluster was sent back by this rollout, so that it has to prove what it ran before. */
export function isSentBack(cluster: RolloutCluster, rolloutId: RolloutId): boolean {
  const { state, generation, assignment } = cluster;
  const isOurs = assignment.rolloutId === rolloutId;
  return state === "failed" && generation > 0n && isOurs && goesBackTo(cluster) !== undefined;
}

/** Whether every agent proves what the cluster was sent back to. */
export function isBack(cluster: RolloutCluster): boolean {
  const { previous, generation, agents } = cluster;
  const back = previous ?? goesBackTo(cluster);
  if (back === undefined || agents.length === 0) return false;
  return agents.every((agent) =>
    back === null ? runsNone(agent, generation) : judgeAgent(agent, back, generation).kind === "proved",
  );
}

/** Of what does not run there is no digest to prove: that the assignment was seen and nothing is reported is all there is. */
function runsNone(agent: AgentView, generation: bigint): boolean {
  return agent.running === undefined && agent.observedGeneration >= generation;
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
  const isWatched = cluster.agents.some(({ silent }) => !silent);
  for (const agent of cluster.agents) {
    const verdict = judgeAgent(agent, digest, cluster.generation);
    if (agent.hasLeft === true) {
      const how = verdict.kind === "proved" ? `with ${(agent.raised ?? []).join(", ")}` : "without a proof";
      return `agent "${agent.name}" has left${isWatched ? ` ${how}` : ", and no other is there"}`;
    }
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
