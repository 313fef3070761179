import { askGates, gateFailure, type GateJudgement } from "./gates/step.ts";
import { beginningIn, holdOf, type Freeze, type Hold } from "./people/hold.ts";
import { isWaitingToBegin } from "./people/pending.ts";
import { isFinished, type Rollout, type RolloutEvent } from "./rollout.ts";
import {
  cannotGoBack,
  fails,
  goesBackTo,
  isBack,
  isSentBack,
  judgeAssigned,
  judgeProved,
  leaves,
  missedSinceMs,
  standing,
  type ClusterChange,
  type Judgement,
  type RolloutCluster,
} from "./rollout-cluster.ts";
import { planShadow, type ShadowEvidence } from "./rollout-shadow.ts";
import { failuresAllowed } from "./rollout-strategy.ts";
import { isSetAside, planTurn } from "./rollout-turn.ts";
import { waveInWork, type WaveInWork } from "./rollout-wave.ts";
import { shownTime } from "./people/zone.ts";
import { vanguardOf } from "./vanguard.ts";

/** Everything a decision about a rollout is made from. */
export interface RolloutSnapshot {
  readonly rollout: Rollout;
  readonly clusters: readonly RolloutCluster[];
  readonly nowMs: number;
  /** What the gates of the wave in work said last; absent when they were not asked. */
  readonly gates?: GateJudgement;
  /** While there is one, no wave begins. */
  readonly freeze?: Freeze;
  /** Why agents would not start what it rolls out, as when that was withdrawn, or its layer taken back. */
  readonly withdrawn?: string;
  /** What its shadow showed; absent where it has none, or that is not over. */
  readonly shadow?: ShadowEvidence;
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
  // Clusters would wait for their deadline for what no agent starts. It is also why some have failed by then, which would say less.
  if (snapshot.withdrawn !== undefined && rollout.state !== "paused") {
    return stopFor(snapshot, snapshot.withdrawn, changes);
  }
  const stop = tooManyFailed(snapshot, changes);
  if (stop !== undefined) return stop;
  if (rollout.state === "paused") return { changes, because: rollout.because };
  // Whatever is decided about clusters is stored before the wave is looked at again, so that each step has one reason.
  if (changes.length > 0) return { changes, because: tell(changes) };
  const failure = gateFailure(rollout, snapshot.gates, waveInWork(snapshot).isPassed);
  if (failure !== undefined) return stopFor(snapshot, failure);
  return planShadow(rollout, snapshot.nowMs, snapshot.shadow) ?? planWave(snapshot);
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

/**
 * The stop, when more clusters have failed than allowed, or when a whole wave has, or all that there are up to it, as when the
 * others left: it shows nothing good.
 */
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
  const begun = counted.filter((c) => c.wave <= rollout.wave && c.late !== true && !isSetAside(c, rollout));
  const haveAllFailed = (some: readonly RolloutCluster[]) =>
    some.length > 0 && some.every((cluster) => stateOf(cluster) === "failed");
  const wholeWave = haveAllFailed(begun.filter((cluster) => cluster.wave === rollout.wave));
  const nowhere = haveAllFailed(begun) && !counted.some((cluster) => stateOf(cluster) === "proved");
  if (failed.length <= allowed && !wholeWave && !nowhere) return undefined;

  const reason = (cluster: RolloutCluster) => after.get(cluster.id)?.reason ?? cluster.reason;
  const first = failed.slice(0, 3).map((cluster) => `${cluster.name} (${reason(cluster)})`);
  const names = `${first.join(", ")}${failed.length > 3 ? ` and ${failed.length - 3} more` : ""}`;
  const tooMany = `${failed.length} failed, ${allowed} allowed: ${names}`;
  const where = wholeWave ? `no cluster of "${waveName(rollout)}" proved` : "the bundle is proved nowhere";
  const because = wholeWave || nowhere ? `${where}: ${names}` : tooMany;
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

function assign(
  { rollout, clusters: all }: RolloutSnapshot,
  clusters: readonly RolloutCluster[],
): RolloutStep {
  const changes = clusters.map(({ id }): ClusterChange => ({
    id,
    to: "assigned",
    assign: rollout.digest,
    reason: "",
  }));
  const because = `"${waveName(rollout)}": the bundle was assigned to ${count(clusters.length)}, which have to prove it`;
  return { changes, because, begins: clusters.some(beginningIn(all)) };
}

/** Everything up to the wave in work, once nothing is left to judge: assign, wait, soak, or go on. */
function planWave(snapshot: RolloutSnapshot): RolloutStep {
  const { rollout, clusters } = snapshot;
  const name = waveName(rollout);
  const hold = holdOf(snapshot);
  const turn = planTurn(snapshot, hold);
  const wave = waveInWork(snapshot);
  if (turn.now.length > 0) {
    return assign(snapshot, wave.assigned.length > 0 ? turn.now : vanguardOf(turn.now));
  }
  // Newcomers hold up no wave, but they do count among those that may be unavailable.
  const planned = (of: readonly RolloutCluster[]) => of.filter((cluster) => cluster.late !== true);
  const queued = planned(turn.queued);
  if (wave.assigned.length > 0) {
    const more = queued.length > 0 ? `; ${count(queued.length)} more after them` : "";
    return { changes: [], because: `"${name}" waits for ${listed(wave.assigned, rollout.digest)}${more}` };
  }
  if (queued.length > 0) {
    const because = `"${name}" waits for room: ${names(queued)} may not get the bundle before others have proved it`;
    return { changes: [], because };
  }
  const held = planned(turn.held);
  // Nothing of it can be judged before it begins.
  if (hold !== undefined && held.length > 0 && wave.proved.length === 0) {
    return { changes: [], because: `"${name}" does not begin: ${hold.why}` };
  }
  if (turn.awaited.length > 0) {
    return { changes: [], because: `"${name}" waits to hear of ${names(turn.awaited)}: silent` };
  }
  // Silence is no proof: as long as the bundle proved nowhere, clusters that are skipped do not let a wave pass.
  const skipped = planned(turn.aside);
  if (skipped.length > 0 && !clusters.some((cluster) => cluster.state === "proved")) {
    const because = `the bundle has proved nowhere yet; "${name}" waits to hear of one of ${names(skipped)}`;
    return { changes: [], because };
  }
  return planSoak(snapshot, wave, hold, held);
}

/** Of a wave whose clusters proved, but for those that the hour keeps from being tried again: soaks, is judged, and goes on when it may. */
function planSoak(
  snapshot: RolloutSnapshot,
  wave: WaveInWork,
  hold: Hold | undefined,
  held: readonly RolloutCluster[],
): RolloutStep {
  const { rollout, nowMs } = snapshot;
  const { proved, provedMs, isPassed } = wave;
  const { soakSeconds } = rollout.spec;
  const name = waveName(rollout);
  const soakedMs = provedMs + soakSeconds * 1000;
  if (proved.length > 0 && nowMs < soakedMs) {
    return { changes: [], because: `"${name}" has proved and soaks for ${soakSeconds} s` };
  }
  const last = rollout.wave + 1 >= rollout.waves.length;
  const next = rollout.waves[rollout.wave + 1]?.name ?? "";
  // An end begins nothing.
  const why = last && held.length === 0 ? undefined : hold?.why;
  const open = isPassed && why !== undefined ? undefined : planOpen(snapshot, wave, soakedMs);
  if (open !== undefined) return open;
  if (why !== undefined) {
    const what =
      held.length > 0 ? `${names(held)} of "${name}" does not begin again` : `"${next}" does not begin`;
    const because = `"${name}" is done; ${what}: ${why}`;
    // Once, so that what is seen while nothing may begin is not held against it.
    const isMarked = isPassed && wave.freedAtMs === undefined;
    return isMarked ? { changes: [], because } : { changes: [], event: "wave-passed", because };
  }
  const because = last ? summary(snapshot) : `"${name}" is done; "${next}" begins`;
  return { changes: [], event: last ? "last-wave-done" : "wave-done", because };
}

/**
 * What a soaked wave still waits for, or fails by. One that has passed waits for the clusters that are missed and for its health, and
 * has its deadlines from when the next could begin.
 */
function planOpen(
  snapshot: RolloutSnapshot,
  { proved, provedMs, isPassed, freedAtMs }: WaveInWork,
  soakedMs: number,
): RolloutStep | undefined {
  const { rollout, nowMs } = snapshot;
  const freedMs = freedAtMs ?? nowMs;
  const waits = (because: string): RolloutStep =>
    isPassed && freedAtMs === undefined
      ? { changes: [], event: "wave-freed", because }
      : { changes: [], because };
  const missed = planMissed(snapshot, proved, soakedMs, isPassed ? freedMs : 0);
  if (missed !== undefined) return typeof missed === "string" ? waits(missed) : missed;
  if (proved.length === 0) return undefined;
  const soaked = { provedMs, soakedMs: isPassed ? freedMs : soakedMs, isPassed };
  const asked = askGates(rollout, snapshot.gates, soaked, nowMs);
  if (asked.kind === "passes") return undefined;
  return asked.kind === "late" ? stopFor(snapshot, asked.because) : waits(asked.because);
}

/** While clusters of a soaked wave are missed: what it waits for, or the step that fails those that were for as long as the deadline. */
function planMissed(
  snapshot: RolloutSnapshot,
  proved: readonly RolloutCluster[],
  soakedMs: number,
  lookedMs: number,
): RolloutStep | string | undefined {
  const { rollout, nowMs } = snapshot;
  const { digest, spec, waves, wave } = rollout;
  // What was before somebody resumed the rollout, they have seen.
  const fromMs = Math.max(soakedMs, waves[wave]?.resumedAtMs ?? 0);
  const missed = proved.flatMap((cluster) => {
    const sinceMs = missedSinceMs(cluster, digest, lookedMs);
    return sinceMs === undefined
      ? []
      : [{ cluster, failsMs: Math.max(sinceMs, fromMs) + spec.deadlineSeconds * 1000 }];
  });
  if (missed.length === 0) return undefined;
  const lost = missed.filter(({ failsMs }) => nowMs >= failsMs);
  if (lost.length > 0) {
    const changes = lost.map(({ cluster: c }) =>
      fails(c, `proved, and then was lost during the soak: ${standing(c, digest)}`),
    );
    return tooManyFailed(snapshot, changes) ?? { changes, because: tell(changes) };
  }
  const which = listed(
    missed.map(({ cluster }) => cluster),
    digest,
  );
  const by = shownTime("UTC", Math.min(...missed.map(({ failsMs }) => failsMs)));
  return `"${waveName(rollout)}" has soaked; waits to hear again of ${which}; fails at ${by} unless that is over`;
}

/**
 * Sends back what an event asks for, and ends when every cluster that was sent back, for its own failure too, has proved what it ran
 * before or had its time.
 */
function planRollBack(snapshot: RolloutSnapshot): RolloutStep {
  const by = judgementOf(snapshot);
  const sent = snapshot.clusters.filter((c) => c.state === "reverted" || isSentBack(c, by.rolloutId));
  const gone = sent.flatMap((c) => leaves(c, by.rolloutId) ?? []);
  const left = sent.filter((c) => leaves(c, by.rolloutId) === undefined);
  // That a failed cluster is back is written nowhere: it stays one that failed.
  const isDone = (c: RolloutCluster) => (c.state === "reverted" && c.provedAtMs !== undefined) || isBack(c);
  const back = left.filter((c) => c.state === "reverted" && c.provedAtMs === undefined && isBack(c));
  const changes = [...gone, ...back.map(({ id, reason }): ClusterChange => ({ id, to: "reverted", reason }))];
  const open = left.filter((c) => !isDone(c));
  const waiting = open.filter((c) => by.nowMs - (c.assignedAtMs ?? by.nowMs) < by.deadlineMs);
  const away = leftWith(left);
  if (waiting.length > 0) {
    return {
      changes,
      because: `waits for ${count(waiting.length)} to prove what they ran before: ${names(waiting)}${away}`,
    };
  }
  const proved = left.length - open.length;
  const late =
    open.length === 0 ? "" : `; not proved by ${names(open)}, which find it assigned when they are back`;
  const because = `${count(proved)} proved what they ran before${late}${away}`;
  return { changes, event: "all-reverted", because };
}

/** Agents that left with the bundle that is taken back, for whoever starts one of them again. */
function leftWith(clusters: readonly RolloutCluster[]): string {
  const all = clusters.flatMap(({ name, leftWith: agents = [] }) =>
    agents.map((agent) => `"${agent}" of ${name}`),
  );
  if (all.length === 0) return "";
  const more = all.length > 5 ? ` and ${all.length - 5} more` : "";
  return `; who left with the bundle starts with it until it is heard of: ${all.slice(0, 5).join(", ")}${more}`;
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
