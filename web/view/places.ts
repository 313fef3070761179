/** What a window shows of a list whose rows are all of one height. */
export interface Sight {
  /** The first row of which something is in the window, also when there is no such row. */
  readonly first: number;
  /** So many rows are in the window, in part the first and the last of them. */
  readonly fits: number;
}

/** Rows on both sides of the window that are drawn as well: where keys go next, and what is scrolled to before anybody draws it. */
const spareRows = 8;

/** Rows from the end of what was read at which more is asked for. */
export const nearEndRows = 20;

/** Which rows are drawn. They are as many wherever the window is, so that scrolling makes no place for rows and takes none away. */
export function rowsToDraw(
  { first, fits }: Sight,
  count: number,
): { readonly from: number; readonly to: number } {
  const size = Math.min(count, fits + 2 * spareRows);
  const from = Math.max(0, Math.min(first - spareRows, count - size));
  return { from, to: from + size };
}

/** Where a row is drawn: a place is a node of the document, whichever row stands in it. */
export interface Place {
  readonly place: number;
  readonly key: string;
  readonly index: number;
}

/**
 * The places of the rows that are drawn. A row that stays keeps its place, and one that comes takes the place of one that left: the
 * browser changes some texts where it would build a row. A place that has the focus is taken by no other row, because keys would
 * be meant for the row that was there.
 */
export function placesOf(
  before: readonly Place[],
  wanted: readonly Omit<Place, "place">[],
  focused?: number,
): readonly Place[] {
  const here = new Set(before.map(({ key }) => key));
  const now = new Map(wanted.map((row) => [row.key, row]));
  const coming = wanted.filter(({ key }) => !here.has(key));
  const kept = before.flatMap(({ place, key }) => {
    const row = now.get(key) ?? (place === focused ? undefined : coming.shift());
    return row === undefined ? [] : [{ place, ...row }];
  });
  const next = 1 + Math.max(-1, ...before.map(({ place }) => place));
  return [...kept, ...coming.map((row, i) => ({ place: next + i, ...row }))];
}

/** In the order of the rows, in which keys and voices go through them. */
export function inOrder(places: readonly Place[]): readonly Place[] {
  return places.toSorted((a, b) => a.index - b.index);
}
