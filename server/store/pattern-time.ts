import { setImmediate } from "node:timers/promises";

/** Milliseconds that the patterns of one question may take of the server, which has others to serve. */
export const patternsMsMax = 3_000;

/** So long nobody else has a turn; a single test is never cut, whatever it takes. */
const turnMs = 10;

/** The patterns of a question took longer than they may: what they would have found is not known. */
export class PatternsTooSlow extends Error {
  constructor() {
    super(
      "Trying the patterns took too long: make them simpler, with fewer repetitions, or narrow it down by time, rule or cluster",
    );
    this.name = "PatternsTooSlow";
  }
}

/** What is left of the time of a question's patterns. */
export interface PatternTime {
  /** Those items that pass a test, in their order. Everybody else has turns meanwhile. Throws `PatternsTooSlow`. */
  readonly pick: <T>(items: readonly T[], test: (item: T) => boolean) => Promise<readonly T[]>;
}

/**
 * Time for the patterns of one question. It is measured and not counted in letters, because the same pattern costs a hundred times as much
 * on texts that were made for it as on those that people write: each letter is a step for every part of the pattern there, and one look into
 * a table here.
 */
export function createPatternTime(msMax: number): PatternTime {
  let leftMs = msMax;
  return {
    async pick(items, test) {
      const met: (typeof items)[number][] = [];
      const tryOne = (item: (typeof items)[number]) => void (test(item) && met.push(item));
      await inTurns(items, tryOne, (ms) => {
        leftMs -= ms;
        if (leftMs < 0) throw new PatternsTooSlow();
      });
      return met;
    },
  };
}

/** Works on items one after the other, while everybody else has turns. `spent` hears of the milliseconds that each turn took. */
export async function inTurns<T>(
  items: Iterable<T>,
  work: (item: T) => void,
  spent: (ms: number) => void = () => {},
): Promise<void> {
  let begunMs = performance.now();
  for (const item of items) {
    work(item);
    const ms = performance.now() - begunMs;
    if (ms <= turnMs) continue;
    spent(ms);
    await setImmediate();
    begunMs = performance.now();
  }
  spent(performance.now() - begunMs);
}
