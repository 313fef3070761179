/** Places are taken before a transaction commits, so a lower one may appear later; each look goes back this long. */
export const overlapMs = 5_000;

export interface TailPlace {
  /** The next look begins behind this place. */
  readonly after: bigint;
  /** Those behind it that were told, or looked at, already. */
  readonly told: readonly bigint[];
  /** How many these are. */
  readonly toldCount: number;
  isTold(arrival: bigint): boolean;
  /** `fresh` were told, or looked at, by a look that began at `nowMs`. */
  advance(fresh: readonly bigint[], reach: Reach, nowMs: number): void;
}

/** How far a look saw. */
export interface Reach {
  /** Every alert up to it that was there was looked at. */
  readonly upTo: bigint;
  /** The last that was there when the look began; beyond `upTo` where there is more than one look holds. */
  readonly last: bigint;
}

/**
 * Where a tail stands in the order of arrival. It moves on with what arrived, whether or not the filter chose it, so that
 * a tail that waits for a rare alert does not read everything since its beginning at each look. A look that begins some seconds after an
 * alert was the last one misses none before that, so that a tail which is far behind need not remember what it told.
 */
export function createTailPlace(begin: bigint): TailPlace {
  let after = begin;
  /** Told, and not behind `after` yet. */
  const told = new Set<bigint>();
  let marks: { readonly last: bigint; readonly atMs: number }[] = [];
  return {
    get after() {
      return after;
    },
    get told() {
      return [...told];
    },
    get toldCount() {
      return told.size;
    },
    isTold: (arrival: bigint) => told.has(arrival),
    advance: (fresh: readonly bigint[], { upTo, last }: Reach, nowMs: number) => {
      for (const arrival of fresh) told.add(arrival);
      if (last > (marks.at(-1)?.last ?? after)) marks.push({ last, atMs: nowMs });
      const settled = marks.findLast(({ atMs }) => nowMs - atMs > overlapMs);
      if (settled === undefined) return;
      marks = marks.filter((mark) => mark.last >= settled.last);
      const reached = upTo < settled.last ? upTo : settled.last;
      if (reached <= after) return;
      after = reached;
      for (const arrival of told) if (arrival <= after) told.delete(arrival);
    },
  };
}
