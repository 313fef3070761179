import { askGates, gateFailure, type GateJudgement } from "./gates/step.ts";
import { holdBack, type Freeze } from "./people/hold.ts";
import { isWaitingToBegin } from "./people/pending.ts";
import { isFinished, type Rollout, type RolloutEvent } from "./rollout.ts";
import {
  cannotGoBack,
  fails,
  goesBackTo,
  holds,
  judgeAssigned,
  judgeProved,
  leaves,
  standing,
  type ClusterChange,
  type Judgement,
  type RolloutCluster,
} from "./rollout-cluster.ts";
import { judgeAgent } from "./rollout-proof.ts";
import { planShadow } from "./rollout-shadow.ts";
import { failuresAllowed } from "./rollout-strategy.ts";
import { isSetAside, planTurn } from "./rollout-turn.ts";

/** Everything a decision about a rollout is made from. */
export interface RolloutSnapshot {
  readonly rollout: Rollout;
  readonly clusters: readonly RolloutCluster[];
  readonly nowMs: number;
  /** What the gates of the wave in work said last; absent when they were not asked. */
  readonly gates?: GateJudgement;
  /** While there is one, no wave begins. */
  readonly freeze?: Freeze;
}

/** Leaves whoever executes it nothing to decide: which clusters change and how, which event to apply, and why. */
export interface RolloutStep {
  readonly changes: readonly ClusterChange[];
  readonly event?: RolloutEvent;
  /** What the rollout waits for or why it moves, in words; the words stay the same while nothing changes. */
  readonly because: string;
  /** A wave begins by it, which a freeze that came in between forbids. */
  readonly begins?: boolean;
}

/**
 * The next step of a rollout. Judges only on proofs of the new digest under the generation that this rollout assigned;
 * what is missing, late or repeated never moves a wave. Repeating a step that was taken already gives an empty one.
 */
export function planStep(snapshot: RolloutSnapshot): RolloutStep {
  const { rollout } = snapshot;
  const isIdle = isFinished(rollout.state) || isWaitingToBegin(rollout);
  if (isIdle) return { changes: [], because: rollout.because };
  if (rollout.state === "rolling-back") return planRollBack(snapshot);

  const changes = judge(snapshot);
  const stop = tooManyFailed(snapshot, changes);
  if (stop !== undefined) return stop;
  if (rollout.state === "paused") return { changes, because: rollout.because };
  // Whatever is decided about clusters is stored before the wave is looked at again, so that each step has one reason.
  if (changes.length > 0) return { changes, because: tell(changes) };
  const failure = gateFailure(rollout, snapshot.gates);
  if (failure !== undefined) return stopFor(snapshot, failure);
  return planShadow(rollout, snapshot.nowMs) ?? holdBack(snapshot, planWave(snapshot));
}

function judge(snapshot: RolloutSnapshot): readonly ClusterChange[] {
  const by = judgementOf(snapshot);
  return snapshot.clusters.flatMap((cluster) => {
    const gone = leaves(cluster, by.rolloutId);
    if (gone !== undefined) return [gone];
    if (cluster.state === "assigned") return judgeAssigned(cluster, by) ?? [];
    return cluster.state === "proved" ? (judgeProved(cluster, by) ?? []) : [];
  });
}

function judgementOf({ rollout, nowMs }: RolloutSnapshot): Judgement {
  const { spec, id, digest } = rollout;
  return {
    rolloutId: id,
    digest,
    nowMs,
    deadlineMs: spec.deadlineSeconds * 1000,
  };
}

/** The stop, when more clusters have failed than allowed, or when a whole wave has: it shows nothing good. */
function tooManyFailed(
  snapshot: RolloutSnapshot,
  changes: readonly ClusterChange[],
): RolloutStep | undefined {
  const { rollout, clusters } = snapshot;
  // A paused rollout is where a stop leads to; its failures wait for a person.
  if (rollout.state === "paused") return undefined;
  const after = new Map(changes.map((change) => [change.id, change]));
  const stateOf = (cluster: RolloutCluster) => after.get(cluster.id)?.to ?? cluster.state;
  const failed = clusters.filter((cluster) => stateOf(cluster) === "failed");
  const counted = clusters.filter((cluster) => stateOf(cluster) !== "removed");
  const allowed = failuresAllowed(rollout.spec, counted.length);
  // Who holds nothing up says nothing for the wave either.
  const isOfWave = (c: RolloutCluster) => c.wave === rollout.wave && !isSetAside(c, rollout);
  const wave = counted.filter(isOfWave);
  const wholeWave = wave.length > 0 && wave.every((cluster) => stateOf(cluster) === "failed");
  if (failed.length <= allowed && !wholeWave) return undefined;

  const reason = (cluster: RolloutCluster) => after.get(cluster.id)?.reason ?? cluster.reason;
  const first = failed.slice(0, 3).map((cluster) => `${cluster.name} (${reason(cluster)})`);
  const names = `${first.join(", ")}${failed.length > 3 ? ` and ${failed.length - 3} more` : ""}`;
  const because = wholeWave
    ? `no cluster of "${waveName(rollout)}" proved: ${names}`
    : `${failed.length} failed, ${allowed} allowed: ${names}`;
  return stopFor(snapshot, because, changes);
}

/** Stops as the spec says: for a person, or with every cluster that has the bundle sent back, those on their way to it too. */
function stopFor(
  { rollout, clusters }: RolloutSnapshot,
  because: string,
  changes: readonly ClusterChange[] = [],
): RolloutStep {
  if (rollout.spec.onFailure === "pause") return { changes, event: "fail-and-pause", because };
  const changed = new Set(changes.map(({ id }) => id));
  const reverts = clusters
    .filter((cluster) => !changed.has(cluster.id))
    .flatMap((c) => revert(c, "the rollout failed"));
  return { changes: [...changes, ...reverts], event: "fail-and-roll-back", because };
}

function assign({ rollout }: RolloutSnapshot, clusters: readonly RolloutCluster[]): RolloutStep {
  const changes = clusters.map(({ id }): ClusterChange => ({
    id,
    to: "assigned",
    assign: rollout.digest,
    reason: "",
  }));
  const because = `"${waveName(rollout)}": the bundle was assigned to ${count(clusters.length)}, which have to prove it`;
  return { changes, because };
}

/** Everything up to the wave in work, once nothing is left to judge: assign, wait, soak, or go on. */
function planWave(snapshot: RolloutSnapshot): RolloutStep {
  const { rollout, clusters } = snapshot;
  const name = waveName(rollout);
  const begun = clusters.filter((cluster) => cluster.wave <= rollout.wave);
  const turn = planTurn(snapshot);
  if (turn.now.length > 0) return assign(snapshot, turn.now);
  const assigned = begun.filter((cluster) => cluster.state === "assigned");
  if (assigned.length > 0) {
    const queued = turn.queued.length > 0 ? `; ${count(turn.queued.length)} more after them` : "";
    return { changes: [], because: `"${name}" waits for ${listed(assigned, rollout.digest)}${queued}` };
  }
  if (turn.awaited.length > 0) {
    return { changes: [], because: `"${name}" waits to hear of ${names(turn.awaited)}: silent` };
  }
  // Silence is no proof: as long as the bundle proved nowhere, clusters that are skipped do not let a wave pass.
  const skipped = turn.aside.filter((cluster) => cluster.late !== true);
  if (skipped.length > 0 && !clusters.some((cluster) => cluster.state === "proved")) {
    const because = `the bundle has proved nowhere yet; "${name}" waits to hear of one of ${names(skipped)}`;
    return { changes: [], because };
  }
  // A cluster of an earlier wave that a resume tried again soaks with the wave in which it proves.
  const startedMs = rollout.waves[rollout.wave]?.startedAtMs ?? 0;
  const isOfThisWave = (c: RolloutCluster) => c.wave === rollout.wave || (c.provedAtMs ?? 0) >= startedMs;
  return planSoak(
    snapshot,
    begun.filter((cluster) => cluster.state === "proved" && isOfThisWave(cluster)),
  );
}

function planSoak(snapshot: RolloutSnapshot, wave: readonly RolloutCluster[]): RolloutStep {
  const { rollout, nowMs } = snapshot;
  const { spec } = rollout;
  const name = waveName(rollout);
  const provedMs = Math.max(...wave.map((cluster) => cluster.provedAtMs ?? nowMs), 0);
  const soakedMs = provedMs + spec.soakSeconds * 1000;
  if (wave.length > 0 && nowMs < soakedMs) {
    return { changes: [], because: `"${name}" has proved and soaks for ${spec.soakSeconds} s` };
  }
  const lost = wave.filter((cluster) => !holds(cluster, rollout.digest));
  if (lost.length > 0 && nowMs >= soakedMs + spec.deadlineSeconds * 1000) {
    return lostAfterProof(snapshot, lost);
  }
  if (lost.length > 0) {
    return {
      changes: [],
      because: `"${name}" has soaked; waits to hear again of ${listed(lost, rollout.digest)}`,
    };
  }
  const asked =
    wave.length === 0 ? undefined : askGates(rollout, snapshot.gates, { provedMs, soakedMs }, nowMs);
  if (asked?.kind === "waits") return { changes: [], because: asked.because };
  if (asked?.kind === "late") return stopFor(snapshot, asked.because);
  const last = rollout.wave + 1 >= rollout.waves.length;
  const next = rollout.waves[rollout.wave + 1]?.name ?? "";
  const because = last ? summary(snapshot) : `"${name}" is done; "${next}" begins`;
  return { changes: [], event: last ? "last-wave-done" : "wave-done", because };
}

function lostAfterProof(snapshot: RolloutSnapshot, lost: readonly RolloutCluster[]): RolloutStep {
  const { digest } = snapshot.rollout;
  const changes = lost.map((c) =>
    fails(c, `proved, and then was lost during the soak: ${standing(c, digest)}`),
  );
  return tooManyFailed(snapshot, changes) ?? { changes, because: tell(changes) };
}

/** Sends back what an event asks for, and ends when every cluster that was sent back has proved it or had its time. */
function planRollBack(snapshot: RolloutSnapshot): RolloutStep {
  const by = judgementOf(snapshot);
  const gone = snapshot.clusters
    .filter((c) => c.state === "reverted")
    .flatMap((c) => leaves(c, by.rolloutId) ?? []);
  const reverted = snapshot.clusters.filter(
    (c) => c.state === "reverted" && !gone.some(({ id }) => id === c.id),
  );
  const back = reverted.filter((c) => c.provedAtMs === undefined && isBack(c));
  const changes = [...gone, ...back.map(({ id, reason }): ClusterChange => ({ id, to: "reverted", reason }))];
  const open = reverted.filter((c) => c.provedAtMs === undefined && !back.includes(c));
  const waiting = open.filter((c) => by.nowMs - (c.assignedAtMs ?? by.nowMs) < by.deadlineMs);
  if (waiting.length > 0) {
    return {
      changes,
      because: `waits for ${count(waiting.length)} to prove what they ran before: ${names(waiting)}`,
    };
  }
  const proved = reverted.length - open.length;
  const late =
    open.length === 0 ? "" : `; not proved by ${names(open)}, which find it assigned when they are back`;
  return { changes, event: "all-reverted", because: `${count(proved)} proved what they ran before${late}` };
}

function isBack(cluster: RolloutCluster): boolean {
  const { previous, generation, agents } = cluster;
  if (previous === undefined || agents.length === 0) return false;
  return agents.every((agent) => judgeAgent(agent, previous, generation).kind === "proved");
}

/** The change that sends a cluster back, or none when it was not given the bundle. */
export function revert(cluster: RolloutCluster, why: string): readonly ClusterChange[] {
  if (cluster.state !== "assigned" && cluster.state !== "proved") return [];
  const assign = goesBackTo(cluster);
  if (assign !== undefined) return [{ id: cluster.id, to: "reverted", assign, reason: why }];
  return [{ id: cluster.id, to: cluster.state, reason: `${why}; ${cannotGoBack(cluster)}` }];
}

function waveName(rollout: Rollout): string {
  return rollout.waves[rollout.wave]?.name ?? "";
}

function summary({ clusters }: RolloutSnapshot): string {
  if (clusters.length === 0) return "every matching cluster runs the bundle already";
  const failed = clusters.filter((cluster) => cluster.state === "failed");
  const removed = clusters.filter((cluster) => cluster.state === "removed").length;
  const proved = clusters.filter((cluster) => cluster.state === "proved").length;
  const owed = clusters.filter((cluster) => cluster.state === "waiting");
  const rest = [
    ...(owed.length > 0 ? [`${gets(owed.length)} it when heard of (${names(owed)})`] : []),
    ...(failed.length > 0 ? [`${failed.length} failed (${names(failed)})`] : []),
    ...(removed > 0 ? [`${removed} left the rollout`] : []),
  ];
  return [`${count(proved)} proved the bundle`, ...rest].join(", ");
}

function tell(changes: readonly ClusterChange[]): string {
  const of = (state: ClusterChange["to"]) => changes.filter((change) => change.to === state).length;
  const parts = [
    [of("proved"), "proved the bundle"],
    [of("failed"), "failed"],
    [of("removed"), "left the rollout"],
  ] as const;
  return parts.flatMap(([n, what]) => (n > 0 ? [`${count(n)} ${what}`] : [])).join(", ");
}

function listed(clusters: readonly RolloutCluster[], digest: RolloutCluster["previous"] & string): string {
  const first = clusters.slice(0, 3).map((cluster) => `${cluster.name} (${standing(cluster, digest)})`);
  return `${first.join(", ")}${clusters.length > 3 ? ` and ${clusters.length - 3} more` : ""}`;
}

function names(clusters: readonly RolloutCluster[]): string {
  const first = clusters.slice(0, 5).map((cluster) => cluster.name);
  return `${first.join(", ")}${clusters.length > 5 ? ` and ${clusters.length - 5} more` : ""}`;
}

function gets(n: number): string {
  return n === 1 ? "1 cluster gets" : `${n} clusters get`;
}

function count(n: number): string {
  return n === 1 ? "1 cluster" : `${n} clusters`;
}
