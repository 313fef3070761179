import { setTimeout as delay } from "node:timers/promises";

import { ClusterService } from "#proto/fleet/v1/cluster";
import { BundleKind } from "#proto/fleet/v1/common";
import { RolloutService, RolloutState, type Rollout } from "#proto/fleet/v1/rollout";

import { createRandom } from "../../../cli/generator/random.ts";
import { waitFor } from "../fleet/bench.ts";
import type { Entry } from "./ledger.ts";
import { settle, type Name, type Pair } from "./pair.ts";
import { judge } from "./verdict.ts";

/** The moment of a kill: so many commits after the start, and a part of the time that lies between two of them. */
export interface Moment {
  readonly seed: number;
  /** 0: while the call that starts the rollout is under way. */
  readonly afterCommits: number;
  readonly delayMs: number;
}

export interface Round {
  readonly moment?: Moment;
  readonly killed?: Name;
  /** Commits of both servers, and how long the rollout took. */
  readonly commits: number;
  readonly tookMs: number;
  /** From the kill to the next commit of the other server; undefined when nothing was left to be done. */
  readonly takeoverMs?: number;
  /** The wave in work when the server was killed. */
  readonly wave?: number;
  readonly faults: readonly string[];
}

/** How a rollout is laid out: so many waves of two clusters. */
export const clustersPerWave = 2;

/** The longest that a takeover may take. */
export const takeoverMsMax = 15_000;
const roundMs = 180_000;

/** A moment of a rollout that is like the one that was measured. */
export function drawMoment(seed: number, like: Round): Moment {
  const dice = createRandom(String(seed));
  return {
    seed,
    afterCommits: dice.below(like.commits),
    delayMs: Math.round((dice.next() * like.tookMs) / like.commits),
  };
}

/**
 * Rolls the next version out to all clusters. With a moment, the server that committed last is killed then, and has to be
 * started again by the caller.
 */
export async function playRound(pair: Pair, number: number, moment: Moment | undefined): Promise<Round> {
  await settle(pair);
  const digest = pair.digests[number % 2] ?? "";
  const before = await generations(pair);
  for (const agent of pair.agents) agent.takeApplied();
  const over = new AbortController();
  const killing = moment === undefined ? undefined : killAt(pair, moment, over.signal);
  let commits = 0;
  const unhear = pair.ledger.onCommit(() => (commits += 1));
  const people = pair.names.map((name) => callAsPerson(pair, name));
  const startedAt = performance.now();
  const id = await startRollout(pair, digest, `round-${number}-${moment?.seed ?? "quiet"}`);
  const ended = await waitForEnd(pair, id);
  const tookMs = performance.now() - startedAt;
  over.abort();
  const kill = await killing;
  const failures = (await Promise.all(people.map((person) => person.stop()))).flat();
  unhear();
  const entries = await pair.ledger.entriesOf(id);
  if (ended.state !== RolloutState.SUCCEEDED) await abort(pair, ended);
  const takeover = kill === undefined ? {} : measureTakeover(entries, kill);
  const faults = judge({
    rolloutId: id,
    state: stateName(ended),
    digest,
    waves: pair.agents.length / clustersPerWave,
    clusters: before,
    entries,
    applied: new Map(pair.agents.map((agent) => [agent.clusterId, agent.takeApplied()])),
  });
  return {
    ...(moment === undefined ? {} : { moment }),
    ...(kill === undefined ? {} : { killed: kill.name }),
    ...takeover,
    commits,
    tookMs: Math.round(tookMs),
    faults: [...faults, ...unexcused(failures, kill), ...tooLate(takeover.takeoverMs)],
  };
}

function tooLate(takeoverMs: number | undefined): readonly string[] {
  return takeoverMs !== undefined && takeoverMs > takeoverMsMax ? [`the takeover took ${takeoverMs} ms`] : [];
}

function measureTakeover(
  entries: readonly Entry[],
  { name, atMs }: Kill,
): Pick<Round, "takeoverMs" | "wave"> {
  const next = entries.find((entry) => entry.who !== name && entry.atMs > atMs);
  const wave = entries.findLast((entry) => entry.what === "cluster" && entry.atMs <= atMs)?.wave ?? 0;
  return next === undefined ? { wave } : { wave, takeoverMs: Math.round(next.atMs - atMs) };
}

interface Kill {
  readonly name: Name;
  readonly atMs: number;
}

/**
 * Kills the server that committed last, at the moment; before any commit, the one that is asked to start the rollout. A rollout may get by
 * with fewer commits than the one that the moment was drawn from: then the moment is its end.
 */
async function killAt(pair: Pair, { afterCommits, delayMs }: Moment, over: AbortSignal): Promise<Kill> {
  let last: Name = pair.names[0];
  let seen = 0;
  const reached = Promise.withResolvers<void>();
  const unhear = pair.ledger.onCommit((who) => {
    last = pair.names.find((name) => name === who) ?? last;
    seen += 1;
    if (seen >= afterCommits) reached.resolve();
  });
  if (afterCommits === 0) reached.resolve();
  over.addEventListener("abort", () => {
    reached.resolve();
  });
  await reached.promise;
  await delay(delayMs);
  unhear();
  const kill = { name: last, atMs: Date.now() };
  await pair.server(kill.name).kill();
  return kill;
}

/** As a person would: the same call, at the other server when one does not answer. */
async function startRollout(pair: Pair, bundle: string, requestId: string): Promise<string> {
  const spec = { kind: BundleKind.RULES, bundle, canary: clustersPerWave, growth: 1, deadlineSeconds: 120 };
  for (let i = 0; ; i += 1) {
    const service = await pair.person(pair.names[i % 2] ?? "a").client(RolloutService);
    try {
      const { rollout } = await service.startRollout({ spec, requestId });
      return rollout?.id ?? "";
    } catch (error) {
      if (i >= 3) throw error;
    }
  }
}

/** Waits until a rollout does nothing more by itself, and has no wave to go on with. */
async function waitForEnd(pair: Pair, rolloutId: string): Promise<Rollout> {
  return waitFor(`the rollout ${rolloutId} to end`, roundMs, async () => {
    const name = pair.names.find((each) => pair.server(each).isAlive()) ?? "a";
    const service = await pair.person(name).client(RolloutService);
    const { rollout } = await service.getRollout({ rolloutId }).catch(() => ({ rollout: undefined }));
    return rollout === undefined || rollout.state === RolloutState.RUNNING ? undefined : rollout;
  });
}

/** Lets go of the clusters of a rollout that did not end, so that the next round has them. */
async function abort(pair: Pair, { id: rolloutId, generation }: Rollout): Promise<void> {
  const name = pair.names.find((each) => pair.server(each).isAlive()) ?? "a";
  const service = await pair.person(name).client(RolloutService);
  await service.abortRollout({ rolloutId, generation });
  await waitFor(`the rollout ${rolloutId} to be aborted`, roundMs, async () => {
    const { rollout } = await service.getRollout({ rolloutId });
    return rollout?.finishedAt === undefined ? undefined : true;
  });
}

function stateName({ state, because }: Rollout): string {
  return state === RolloutState.SUCCEEDED ? "succeeded" : `state ${state}: ${because}`;
}

async function generations(pair: Pair): Promise<ReadonlyMap<string, bigint>> {
  const service = await pair.person(pair.names[0]).client(ClusterService);
  const { clusters } = await service.listClusters({ pageSize: 500 });
  return new Map(clusters.map(({ id, assignment }) => [id, assignment?.generation ?? 0n]));
}

interface Failure {
  readonly at: Name;
  readonly atMs: number;
  readonly words: string;
}

/** Somebody who looks at the fleet through one server all the time, until it is gone. Answers with what failed. */
function callAsPerson(pair: Pair, at: Name): { stop(): Promise<readonly Failure[]> } {
  const failures: Failure[] = [];
  const over = new AbortController();
  const calling = (async () => {
    const service = await pair.person(at).client(ClusterService);
    while (!over.signal.aborted && pair.server(at).isAlive()) {
      await service.listClusters({ pageSize: 5 }).catch((error: unknown) => {
        failures.push({ at, atMs: Date.now(), words: String(error) });
      });
      await delay(100);
    }
  })();
  return {
    stop: async () => {
      over.abort();
      await calling;
      return failures;
    },
  };
}

/** What a person may not feel: calls that failed at the other server, or before there was a reason to. */
function unexcused(failures: readonly Failure[], kill: Kill | undefined): readonly string[] {
  return failures
    .filter(({ at, atMs }) => at !== kill?.name || atMs < kill.atMs)
    .map(({ at, words }) => `a call at server ${at} failed: ${words}`);
}
