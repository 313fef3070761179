export interface HeldRows<T> {
  /** In the order in which they were seen, each as it is now. */
  readonly rows: readonly T[];
  /** Those that came and are not among them. */
  readonly waiting: readonly T[];
}

/**
 * What to show of a list that was read anew while its rows must not move: the rows that are seen stay in their places, with what
 * is new of each, also those that left; what follows behind the last of them is added, because it moves nothing; the rest waits.
 */
export function heldRows<T>(seen: readonly T[], fresh: readonly T[], keyOf: (row: T) => string): HeldRows<T> {
  const now = new Map(fresh.map((row) => [keyOf(row), row]));
  const keys = new Set(seen.map(keyOf));
  const last = fresh.findLastIndex((row) => keys.has(keyOf(row)));
  const [before, behind] = last === -1 ? [fresh, []] : [fresh.slice(0, last), fresh.slice(last + 1)];
  return {
    rows: [...seen.map((row) => now.get(keyOf(row)) ?? row), ...behind],
    waiting: before.filter((row) => !keys.has(keyOf(row))),
  };
}

/** How the rows of a list are told apart, and when each was: the newest stand first. */
export interface Order<T> {
  readonly keyOf: (row: T) => string;
  readonly msOf: (row: T) => number;
}

/** The first page of a list, asked for after the list was read. */
export interface Newest<T> {
  readonly rows: readonly T[];
  /** No page follows it. */
  readonly isAll: boolean;
}

export interface Merged<T> {
  readonly rows: readonly T[];
  /** Between the newest and what was read before there may be rows that nobody has read. */
  readonly isTorn: boolean;
}

/**
 * What was read of a list page by page, with what its first page says now: what is new stands first, and what would stand on
 * that page and does not has left. A page may be short, and one without rows says nothing of the list unless nothing follows it.
 */
export function withNewest<T>(
  newest: Newest<T> | undefined,
  read: readonly T[],
  { keyOf, msOf }: Order<T>,
): Merged<T> {
  const end = newest?.rows.at(-1);
  if (newest === undefined || (end === undefined && !newest.isAll)) return { rows: read, isTorn: false };
  const endMs = end === undefined || newest.isAll ? -Infinity : msOf(end);
  const keys = new Set(newest.rows.map(keyOf));
  const first = read[0];
  return {
    rows: [...newest.rows, ...read.filter((row) => !keys.has(keyOf(row)) && msOf(row) <= endMs)],
    isTorn: !newest.isAll && (first === undefined || msOf(first) < endMs),
  };
}
