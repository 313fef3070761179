import { renderAge } from "./quantity.ts";
import { type ClusterProgress, isOver, type RolloutProgress, type WaveProgress } from "./rollout.ts";
import { clean, countOf } from "./text.ts";

/** What a rollout holds its clusters to. */
export interface ExplainLimits {
  readonly deadlineMs: number;
  readonly soakMs: number;
  readonly failuresMax: number;
  /** The wave in work waits until clusters that are silent are heard of. */
  readonly awaitsSilent: boolean;
  /** It began with a shadow, which is over, and no wave has begun. */
  readonly isShadowOver: boolean;
  /** No wave has begun: it waits for people, for its time, or for somebody to take a new plan. */
  readonly isPending: boolean;
}

/** What is known of a cluster that a rollout waits for. */
export interface ClusterFacts {
  readonly name: string;
  readonly health: string;
  readonly healthReason: string;
  readonly lastSeenAt?: number;
  /** The newest refusal of the bundle, "CODE: DETAIL"; absent when there is none. */
  readonly refusal?: string;
}

/** Why a rollout does not move, and what to do about it. */
export interface Explanation {
  /** One paragraph. */
  readonly text: string;
  /** Names of the clusters that hold it up. */
  readonly heldUpBy: readonly string[];
  /** Commands to type, the likeliest first. */
  readonly next: readonly string[];
}

/** Who was heard of since then is not silent: three heartbeats. */
const heardMs = 60_000;

/** So many clusters are named; the rest are counted. */
export const namedMax = 3;

/**
 * The clusters that keep a rollout where it is: those in work, those that failed, those that still have to go back, silent ones that
 * their wave waits for, and those that proved and are missed since.
 */
export function holdingUp(
  { state, waves, wave, because }: RolloutProgress,
  { awaitsSilent }: Pick<ExplainLimits, "awaitsSilent">,
): readonly ClusterProgress[] {
  const all = waves.flatMap(({ clusters }) => clusters);
  if (state === "succeeded" || state === "aborted") return [];
  if (state === "rolling-back" || state === "rolled-back") {
    // Only the server knows which of those that failed are back: it names some of the others.
    const isOpen = ({ step, name, provedAt }: ClusterProgress) =>
      (step === "reverted" && provedAt === undefined) || (step === "failed" && names(because, name));
    return all.filter(isOpen);
  }
  const begun = waves.slice(0, wave + 1).flatMap(({ clusters }) => clusters);
  const assigned = begun.filter(({ step }) => step === "assigned");
  const failed = all.filter(({ step }) => step === "failed");
  if (state === "paused") return [...failed, ...assigned];
  const awaited = awaitsSilent && state === "running" ? (waves[wave]?.clusters ?? []) : [];
  // Of those that proved, the server says of which it does not hear that they still run the bundle.
  const isMissed = ({ step, reason }: ClusterProgress) => step === "proved" && reason !== "";
  const missed = / waits to hear again of /.test(because)
    ? begun.filter((each) => isMissed(each) && (isIn(waves[wave], each) || names(because, each.name)))
    : [];
  return [
    ...assigned,
    ...awaited.filter(({ step, reason }) => step === "waiting" && reason !== ""),
    ...missed,
  ];
}

function isIn(wave: WaveProgress | undefined, cluster: ClusterProgress): boolean {
  return wave?.clusters.includes(cluster) === true;
}

/** Whether the server's words name a cluster. */
function names(because: string, cluster: string): boolean {
  return because.split(/[\s,:()]+/).includes(cluster);
}

/** Answers "why is it not moving?" from what the server says of the rollout and of the clusters that hold it up. */
export function explainRollout(
  rollout: RolloutProgress,
  facts: readonly ClusterFacts[],
  limits: ExplainLimits,
  now: number,
): Explanation {
  const holding = holdingUp(rollout, limits);
  const sentences = [
    stands(rollout, now),
    ...(isServersWord(rollout, holding) ? [`The server says: ${clean(rollout.because)}.`] : []),
    ...holding.slice(0, namedMax).map((cluster) => about(cluster, rollout.state, facts, now)),
    ...(holding.length > namedMax ? [`The same holds for ${holding.length - namedMax} more.`] : []),
    ...gates(rollout),
    goesOn(rollout, holding, limits, now),
  ];
  return {
    text: sentences.filter((sentence) => sentence !== "").join(" "),
    heldUpBy: holding.map(({ name }) => name),
    next: limits.isShadowOver
      ? afterShadow(rollout)
      : [...commands(rollout, holding, limits), ...replaced(holding, facts, now)],
  };
}

function stands(
  { id, kind, bundle, state, wave, waves, createdAt, finishedAt }: RolloutProgress,
  now: number,
): string {
  const what = `Rollout ${id} of ${kind} ${clean(bundle)}`;
  const current = waves[wave];
  const counted = waves.flatMap(({ clusters }) => clusters).filter(({ step }) => step !== "removed");
  const proved = `${counted.filter(({ step }) => step === "proved").length} of ${countOf(counted.length, "cluster")} proved it`;
  if (isOver({ state }) && state !== "unknown") {
    const ago = finishedAt === undefined ? "" : ` ${renderAge(now - finishedAt)} ago`;
    return `${what} has ended${ago}: ${state.replace("-", " ")}; ${proved}.`;
  }
  const age = createdAt === undefined ? "" : ` for ${renderAge(now - createdAt)}`;
  const word = state === "unknown" ? "in a state that this fleetctl does not know" : state.replace("-", " ");
  if (current === undefined) return `${what} is ${word}${age}; ${proved}.`;
  const begun = current.startedAt === undefined ? "" : `, begun ${renderAge(now - current.startedAt)} ago`;
  const inWave = current.clusters.filter(({ step }) => step !== "removed");
  const waveProved = `${inWave.filter(({ step }) => step === "proved").length} of ${inWave.length} proved`;
  return `${what} is ${word}${age}, in wave ${wave + 1} of ${waves.length} ("${clean(current.name)}"${begun}, ${waveProved}); in all ${proved}.`;
}

/** What follows about the clusters says it better where the server says the same of them. */
function isServersWord({ state, because }: RolloutProgress, holding: readonly ClusterProgress[]): boolean {
  const isSaid = holding.slice(0, namedMax).some(({ reason }) => reason !== "" && because.includes(reason));
  return because !== "" && !isSaid && !(state === "running" && holding.length > 0);
}

function about(
  cluster: ClusterProgress,
  state: RolloutProgress["state"],
  facts: readonly ClusterFacts[],
  now: number,
): string {
  const { step, reason, assignedAt } = cluster;
  const name = clean(cluster.name);
  const known = facts.find((each) => each.name === cluster.name);
  const age = assignedAt === undefined ? "" : ` ${renderAge(now - assignedAt)} ago`;
  const why = reason === "" ? "" : `: ${sentence(reason)}`;
  const heads: Partial<Record<ClusterProgress["step"], string>> = {
    waiting: `It waits for ${name}, which does not have the bundle yet${why}`,
    assigned: `It waits for ${name}, which got the bundle${age} and has not proved it${why}`,
    proved: `It waits to hear again of ${name}, which had proved the bundle${why}`,
    failed:
      state === "rolling-back"
        ? `${name} failed and is sent back to what it ran before${why}`
        : `${name} failed${why}`,
    reverted: `${name} is sent back to what it ran before${why}`,
  };
  return `${heads[step] ?? `${name} is ${step}${why}`}${known === undefined ? "" : heard(known, reason, now)}.`;
}

function heard(
  { health, healthReason, lastSeenAt, refusal }: ClusterFacts,
  said: string,
  now: number,
): string {
  const seen =
    lastSeenAt === undefined ? "was never heard of" : `was last heard of ${renderAge(now - lastSeenAt)} ago`;
  const isNew =
    healthReason !== "" && health !== "silent" && !said.includes(healthReason) && refusal === undefined;
  const why = isNew ? ` (${sentence(healthReason)})` : "";
  // The reason of a failed cluster quotes the refusal already.
  const tried =
    refusal === undefined || said.includes(refusal.slice(0, 60))
      ? ""
      : `; its last refusal: ${sentence(refusal)}`;
  return `; it ${seen} and is ${health}${why}${tried}`;
}

function gates({ waves, wave, state }: RolloutProgress): string[] {
  if (state !== "running" && state !== "paused") return [];
  const open = (waves[wave]?.gates ?? []).filter((gate) => gate.state !== "holds");
  return open.map((gate) => `Gate ${clean(gate.gate)} ${gate.state}: ${sentence(gate.words)}.`);
}

function goesOn(
  { state, wave, waves, because }: RolloutProgress,
  holding: readonly ClusterProgress[],
  { deadlineMs, soakMs, failuresMax, isShadowOver, isPending }: ExplainLimits,
  now: number,
): string {
  const next = waves[wave + 1];
  const then =
    next === undefined ? "and then it is done" : `and then wave ${wave + 2} ("${clean(next.name)}") begins`;
  switch (state) {
    case "running": {
      const soak = soakMs === 0 ? "" : `, stays so for ${renderAge(soakMs)}`;
      // The server says by when and what happens else.
      const [, by] = / fails at (\d[\d-]+ [\d:]+ UTC)/.exec(because) ?? [];
      if (by !== undefined && holding.every(({ step }) => step === "proved")) {
        return holding.length === 0
          ? `It goes on when that is over in time, ${then}.`
          : `It goes on when each of them is heard of and runs the bundle, ${then}. One that does not by ${by} has failed.`;
      }
      if (holding.length === 0) return `It goes on by itself, ${then}.`;
      const assigned = holding.filter(({ step }) => step === "assigned");
      if (assigned.length === 0) {
        return `It goes on when each of them is heard of and proves the bundle, ${then}.`;
      }
      const due = Math.min(...assigned.map(({ assignedAt }) => (assignedAt ?? now) + deadlineMs));
      const left = due > now ? `within ${renderAge(due - now)}` : "at the next look, its time is over,";
      const allowed = failuresMax === 0 ? "none may" : `more than ${failuresMax} may not`;
      return `It goes on when each of them proves the bundle${soak}, ${then}. One that does not prove ${left} counts as failed, and ${allowed} fail.`;
    }
    case "paused":
      if (isShadowOver) {
        return "No cluster has the bundle yet; it waits for a person: resume begins with the first wave, abort leaves everything as it is.";
      }
      if (isPending) {
        return "It has not begun: resume takes the plan as it is now, which waits for people and its time as before; abort leaves everything as it is.";
      }
      return "It waits for a person: resume tries the failed clusters again and goes on; undo sends every cluster back to what it ran before; abort leaves it at that.";
    case "awaiting-approval":
      return "It begins when a second person approves its plan, and never by itself.";
    case "scheduled":
      return "It begins at its time, if a new plan is the same then; otherwise it waits for a person.";
    case "rolling-back":
      return "It is done when each of them proves what it ran before; a silent one gets it when it is back.";
    case "succeeded":
      return "Nothing is left to do.";
    case "aborted":
    case "rolled-back":
      return "Nothing moves any more; start another rollout when the cause is gone.";
    case "unknown":
      return "A newer fleetctl can say more.";
  }
}

function commands(
  { id, state }: RolloutProgress,
  holding: readonly ClusterProgress[],
  { isPending }: ExplainLimits,
): readonly string[] {
  const first = holding[0] === undefined ? [] : [`fleetctl cluster show ${holding[0].name}`];
  switch (state) {
    case "running":
      return [...first, `fleetctl rollout watch ${id}`, `fleetctl rollout pause ${id}`];
    case "paused":
      if (isPending) {
        return [
          `fleetctl rollout show ${id}   for its plan`,
          `fleetctl rollout resume ${id}`,
          `fleetctl rollout abort ${id}`,
        ];
      }
      return [...first, `fleetctl rollout resume ${id}`, `fleetctl rollout undo ${id}`];
    case "awaiting-approval":
      return [
        `fleetctl rollout show ${id}   for its plan`,
        `fleetctl rollout approve ${id} --plan DIGEST   with the digest of that plan, by somebody else`,
        `fleetctl rollout abort ${id}`,
      ];
    case "scheduled":
      return [`fleetctl rollout show ${id}`, `fleetctl rollout abort ${id}`];
    case "rolling-back":
      return [...first, `fleetctl rollout watch ${id}`];
    case "succeeded":
    case "aborted":
    case "rolled-back":
    case "unknown":
      return [`fleetctl rollout show ${id}`];
  }
}

/** A cluster of which one agent is silent while others are heard of may have lost that node for good. */
function replaced(
  holding: readonly ClusterProgress[],
  facts: readonly ClusterFacts[],
  now: number,
): readonly string[] {
  return holding.slice(0, namedMax).flatMap(({ name, step, reason }) => {
    const [, agent] = /^agent "([A-Za-z0-9._-]{1,253})" is silent/.exec(reason) ?? [];
    const seen = facts.find((each) => each.name === name)?.lastSeenAt ?? 0;
    if ((step !== "assigned" && step !== "proved") || agent === undefined || now - seen > heardMs) return [];
    return [`fleetctl agent revoke ${clean(name)} ${agent}   when that node is gone for good`];
  });
}

function afterShadow({ id }: RolloutProgress): readonly string[] {
  return [
    `fleetctl rollout shadow show ${id}`,
    `fleetctl rollout resume ${id}`,
    `fleetctl rollout abort ${id}`,
  ];
}

/** Words from the fleet inside of a sentence: no line breaks, no full stop of their own. */
function sentence(words: string): string {
  const text = clean(words).trim();
  const short = text.length > 300 ? `${text.slice(0, 299)}…` : text;
  return short.replace(/\.$/, "");
}
