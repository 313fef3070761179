import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { nearEndRows } from "../view/places.ts";

/** How lists go from page to page: each answer names the next one, and the last names none. */
export const byPage = {
  pageParamKey: "pageToken",
  getNextPageParam: ({ nextPageToken }: { readonly nextPageToken: string }) =>
    nextPageToken === "" ? undefined : nextPageToken,
} as const;

/** What was read of a list. */
interface Read<Page> {
  readonly data: { readonly pages: readonly Page[] } | undefined;
  readonly hasNextPage: boolean;
}

export interface Pages<Page = unknown> extends Read<Page> {
  readonly isFetching: boolean;
  readonly fetchNextPage: () => Promise<Read<Page>>;
}

/** Reads on, for who comes near the end of what was read. */
export function readOn({ hasNextPage, isFetching, fetchNextPage }: Pages): () => void {
  return () => void (hasNextPage && !isFetching && fetchNextPage());
}

/** How a list is read: the rows of a page, and which of them match what is looked for in the browser. */
export interface Reading<Page, T> {
  readonly words: readonly string[];
  readonly rowsOf: (page: Page) => readonly T[];
  readonly isFound: (row: T) => boolean;
  /** How far back a page looked, where the server says it. */
  readonly backTo?: (page: Page) => Timestamp | undefined;
}

/**
 * Whether older rows come only when somebody says so: where words are looked for, or where the last page brought so few rows that its
 * end is near at once. What is rare would otherwise have page after page read, to the end.
 */
export function isSparse<Page, T>(
  { data }: Pick<Pages<Page>, "data">,
  { words, rowsOf }: Reading<Page, T>,
): boolean {
  const last = data?.pages.at(-1);
  return words.length > 0 || last === undefined || rowsOf(last).length < nearEndRows;
}

/** Reads on near the end by itself, unless that has to be said. */
export function readOnUnlessSparse<Page, T>(
  pages: Pages<Page>,
  reading: Reading<Page, T>,
): { readonly onNearEnd?: () => void } {
  return isSparse(pages, reading) ? {} : { onNearEnd: readOn(pages) };
}

/** So many calls for one wish to look further: each looks at a bounded number of rows. */
const callsMax = 10;

/** Looks further until there is about a window more of what matches, or so many calls have looked. */
export async function lookFurther<Page, T>(
  pages: Pages<Page>,
  { rowsOf, isFound }: Reading<Page, T>,
): Promise<void> {
  const first = pages.data?.pages[0];
  let read = pages.data?.pages.length ?? 0;
  let found = 0;
  for (let call = 0; call < callsMax && found < nearEndRows; call += 1) {
    const { data, hasNextPage } = await pages.fetchNextPage();
    const all = data?.pages ?? [];
    const last = all.at(-1);
    // No page more, whose refusal stands above the list; or another list, because the filter was changed or it began anew.
    if (last === undefined || all.length <= read || all[0] !== first) return;
    read = all.length;
    found += rowsOf(last).filter(isFound).length;
    if (!hasNextPage) return;
  }
}

/** Milliseconds between looks at a list. Who reads further back is not pulled to the front. */
export function unlessReadBack(everyMs: number) {
  return ({
    state,
  }: {
    readonly state: { readonly data?: { readonly pages: readonly unknown[] } | undefined };
  }) => ((state.data?.pages.length ?? 0) > 1 ? (false as const) : everyMs);
}
