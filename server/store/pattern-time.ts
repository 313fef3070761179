import { workInTurns } from "../turns.ts";

/** Milliseconds that the patterns of one question may take of the server, which has others to serve. */
export const patternsMsMax = 3_000;

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
  /** The same of the first items, as many as there is time for, at least one: for who goes on with the next. */
  readonly pickFirst: <T>(items: readonly T[], test: (item: T) => boolean) => Promise<Picked<T>>;
}

export interface Picked<T> {
  readonly met: readonly T[];
  /** How many items were tried. */
  readonly tried: number;
}

/**
 * Time for the patterns of one question. It is measured and not counted in letters, because the same pattern costs a hundred times as much
 * on texts that were made for it as on those that people write: each letter is a step for every part of the pattern there, and one look into
 * a table here. With `endsAfterMs` the time is also over so many milliseconds from now, whoever else had turns meanwhile.
 */
export function createPatternTime(msMax: number, endsAfterMs: number = Infinity): PatternTime {
  const endMs = performance.now() + endsAfterMs;
  let leftMs = msMax;
  const onTurn = (ms: number) => {
    leftMs -= ms;
    if (leftMs < 0 || performance.now() > endMs) throw new PatternsTooSlow();
  };
  return {
    async pick(items, test) {
      const met: (typeof items)[number][] = [];
      await workInTurns(items, (item) => void (test(item) && met.push(item)), onTurn);
      return met;
    },
    async pickFirst(items, test) {
      const met: (typeof items)[number][] = [];
      let tried = 0;
      const tryOne = (item: (typeof items)[number]) => {
        if (test(item)) met.push(item);
        tried += 1;
      };
      await workInTurns(items, tryOne, onTurn).catch((error: unknown) => {
        if (!(error instanceof PatternsTooSlow)) throw error;
      });
      return { met, tried };
    },
  };
}

/** Items until so many milliseconds are over, whoever has turns meanwhile; at least one, so that who goes on with the next comes to the end. */
export function* itemsWithin<T>(items: Iterable<T>, ms: number): Generator<T> {
  const endMs = performance.now() + ms;
  for (const item of items) {
    yield item;
    if (performance.now() > endMs) return;
  }
}
