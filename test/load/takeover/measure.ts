import { createRandom } from "../../../cli/generator/random.ts";
import { median } from "../figures.ts";
import { startPair } from "./pair.ts";
import { clustersPerWave, drawMoment, playRound, type Round } from "./rounds.ts";

export interface TakeoverOptions {
  readonly rounds: number;
  readonly waves: number;
  /** Round i uses the seed plus i, so that one round can be played again by itself. */
  readonly seed: number;
  /** Hears of each round as it ends. */
  readonly say: (round: Round) => void;
}

/** Rollouts in each of which the server that reconciles is killed at a random moment; the other one has to end it right. */
export async function measureTakeovers(url: string, options: TakeoverOptions): Promise<readonly Round[]> {
  const { rounds, waves, seed, say } = options;
  const dice = createRandom(`agents ${seed}`);
  const pair = await startPair(url, waves * clustersPerWave, () => dice.next());
  try {
    // What a rollout is without a kill; it is judged as all others.
    const quiet = await playRound(pair, 0, undefined);
    say(quiet);
    const played = [quiet];
    for (let i = 0; i < rounds; i += 1) {
      const round = await playRound(pair, i + 1, drawMoment(seed + i, quiet));
      say(round);
      played.push(round);
      if (round.killed !== undefined) await pair.restart(round.killed);
    }
    return played;
  } finally {
    await pair.stop();
  }
}

/** What many rounds come to. */
export function summarize(played: readonly Round[]): object {
  const killed = played.filter(({ killed }) => killed !== undefined);
  const wrong = played.filter(({ faults }) => faults.length > 0);
  const takeovers = killed.flatMap(({ takeoverMs }) => takeoverMs ?? []);
  return {
    rounds: killed.length,
    right: killed.filter(({ faults }) => faults.length === 0).length,
    takeoverMs: { median: median(takeovers), max: Math.max(...takeovers), of: takeovers.length },
    // When the last commit was the killed server's own, nothing was left for the other.
    nothingLeftToDo: killed.length - takeovers.length,
    wavesInWork: Object.fromEntries(
      [...Map.groupBy(killed, ({ wave }) => wave ?? 0)]
        .toSorted(([a], [b]) => a - b)
        .map(([wave, rounds]) => [wave + 1, rounds.length]),
    ),
    rolloutMs: { quiet: played[0]?.tookMs, median: median(killed.map(({ tookMs }) => tookMs)) },
    wrong: wrong.map(({ moment, killed: who, faults }) => ({ moment, killed: who, faults })),
  };
}
