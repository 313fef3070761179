/** Places are taken before a transaction commits, so a lower one may appear later; each look goes back this long. */
export const overlapMs = 5_000;

export interface TailPlace {
  /** The next look begins behind this place. */
  readonly after: bigint;
  /** How many of those behind it were told already. */
  readonly toldCount: number;
  isTold(arrival: bigint): boolean;
  /** `fresh` were told now. `upTo`: every alert up to it that was there was looked at. */
  advance(fresh: readonly bigint[], upTo: bigint, nowMs: number): void;
}

/**
 * Where a tail stands in the order of arrival. It moves on with what arrived, whether or not the filter chose it, so that
 * a tail that waits for a rare alert does not read everything since its beginning at each look.
 */
export function createTailPlace(begin: bigint): TailPlace {
  let after = begin;
  /** Told, and not behind `after` yet. */
  const told = new Set<bigint>();
  let seen: { readonly upTo: bigint; readonly atMs: number }[] = [];
  return {
    get after() {
      return after;
    },
    get toldCount() {
      return told.size;
    },
    isTold: (arrival: bigint) => told.has(arrival),
    advance: (fresh: readonly bigint[], upTo: bigint, nowMs: number) => {
      for (const arrival of fresh) told.add(arrival);
      if (upTo > (seen.at(-1)?.upTo ?? after)) seen.push({ upTo, atMs: nowMs });
      const settled = seen.filter(({ atMs }) => nowMs - atMs > overlapMs).at(-1);
      if (settled === undefined) return;
      after = settled.upTo;
      seen = seen.filter(({ upTo: each }) => each > after);
      for (const arrival of told) if (arrival <= after) told.delete(arrival);
    },
  };
}
