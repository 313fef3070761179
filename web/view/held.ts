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

/** The first page of a list, asked for after the list was read, with what such pages brought before. */
export interface Newest<T> {
  readonly rows: readonly T[];
  /** How far back all rows are known: -Infinity when no page follows. */
  readonly backMs: number;
  /** When the server looked: later rows are not known. */
  readonly atMs: number;
}

/** Rows that are kept in front of a list: whoever reads it begins anew when more came. */
const newestMax = 1_000;
/** Alerts arrive so much later than their events were: of the last seconds before a look not all were there. */
const lateMs = 10_000;

/**
 * What is known of the front of a list when its first page was asked for once more. A page goes back so many rows, or so many that were
 * looked at, and what matched on the one before stays where it is; only when there may be rows between the two does what was known end.
 */
export function addNewest<T>(before: Newest<T> | undefined, page: Newest<T>, order: Order<T>): Newest<T> {
  if (before === undefined || page.backMs > knownTo(before, order)) return page;
  const rows = behind(page, before.rows, order);
  return rows.length > newestMax ? page : { ...page, rows, backMs: Math.min(page.backMs, before.backMs) };
}

/** The rows of a page and, behind them, those that were known before and are beyond it: what it should hold and does not has left. */
function behind<T>(page: Newest<T>, known: readonly T[], { keyOf, msOf }: Order<T>): readonly T[] {
  const keys = new Set(page.rows.map(keyOf));
  return [...page.rows, ...known.filter((row) => !keys.has(keyOf(row)) && msOf(row) <= page.backMs)];
}

/**
 * Up to when all rows are known. What the first row says of it counts only where the server does not say when it looked: a row of a cluster
 * whose clock is ahead is later than others that are still to come.
 */
function knownTo<T>({ rows: [first], atMs }: ReadBack<T>, { msOf }: Order<T>): number {
  if (atMs !== -Infinity) return atMs - lateMs;
  return first === undefined ? -Infinity : msOf(first);
}

/** What was read of a list page by page. */
export interface ReadBack<T> {
  readonly rows: readonly T[];
  /** When the server looked for its first page. */
  readonly atMs: number;
}

export interface Merged<T> {
  readonly rows: readonly T[];
  /** Between the newest and what was read before there may be rows that nobody has read. */
  readonly isTorn: boolean;
}

/** What was read of a list page by page, with what its front is now: what is new stands first, and what left it is gone. */
export function withNewest<T>(newest: Newest<T> | undefined, read: ReadBack<T>, order: Order<T>): Merged<T> {
  if (newest === undefined) return { rows: read.rows, isTorn: false };
  return { rows: behind(newest, read.rows, order), isTorn: newest.backMs > knownTo(read, order) };
}
