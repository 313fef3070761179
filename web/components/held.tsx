import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { InfiniteData } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { queryClient } from "../api/query-client.ts";
import {
  addNewest,
  heldRows,
  withNewest,
  type HeldRows,
  type Newest,
  type Order,
  type ReadBack,
} from "../view/held.ts";
import { countText } from "../view/quantity.ts";
import { msOf } from "../view/time.ts";

/** Pixels from the top of the page within which nobody is reading further down. */
const topPx = 40;

/**
 * Whether somebody has scrolled, points at the list, or has come into it by keys: rows that move now would be clicked by mistake.
 * Asked when there is something new, so that it needs no events. A finger points at nothing after it let go.
 */
export function isLookedAt(list: HTMLElement | null): boolean {
  if (window.scrollY > topPx) return true;
  if (list === null) return false;
  const isPointedAt = matchMedia("(hover: hover)").matches && list.matches(":hover");
  return isPointedAt || list.querySelector(":focus-visible") !== null;
}

/** How the pages of a list are read. */
export interface PageOf<Page, T> {
  readonly rowsOf: (page: Page) => readonly T[];
  /** How far back the server looked; undefined when no page follows. */
  readonly backTo: (page: Page) => Timestamp | undefined;
  /** When it looked. */
  readonly lookedAt: (page: Page) => Timestamp | undefined;
}

/**
 * The front of a list as it is now, for one that has more pages and is not read anew itself; undefined while nothing was heard of
 * it since the list's own first page, `first`, came: an older answer would take away what came with that.
 */
export function useNewest<Page, T>(
  first: Page | undefined,
  { data, dataUpdatedAt }: { readonly data: Page | undefined; readonly dataUpdatedAt: number },
  pageOf: PageOf<Page, T>,
  order: Order<T>,
): Newest<T> | undefined {
  const firstMs = useMemo(() => (first === undefined ? Infinity : Date.now()), [first]);
  const page = dataUpdatedAt < firstMs ? undefined : data;
  const [known, setKnown] = useState<Known<Page, T>>({ first, page: undefined, newest: undefined });
  let now = known;
  if (known.first !== first || known.page !== page) {
    const before = known.first === first ? known.newest : undefined;
    now = {
      first,
      page,
      newest: page === undefined ? before : addNewest(before, newestOf(page, pageOf), order),
    };
    setKnown(now);
  }
  return now.newest;
}

interface Known<Page, T> {
  readonly first: Page | undefined;
  readonly page: Page | undefined;
  readonly newest: Newest<T> | undefined;
}

function newestOf<Page, T>(page: Page, { rowsOf, backTo, lookedAt }: PageOf<Page, T>): Newest<T> {
  const back = backTo(page);
  return {
    rows: rowsOf(page),
    backMs: back === undefined ? -Infinity : (msOf(back) ?? -Infinity),
    atMs: msOf(lookedAt(page)) ?? -Infinity,
  };
}

interface Listed<T> {
  /** What the list is of: another key is another list, of which nothing was seen yet. */
  readonly key: string;
  readonly read: ReadBack<T>;
  readonly newest: Newest<T> | undefined;
  readonly order: Order<T>;
  /** Whether rows that are seen have to stay where they are. */
  readonly isHeld: (seen: readonly T[]) => boolean;
  /** Whenever it is another one, all that is new is shown once, whoever looks. */
  readonly turn: number;
  /** Begins the list anew, with its first page. */
  readonly restart: () => void;
}

interface Held<T> extends HeldRows<T> {
  /** The rows are the list as it is now: none of them has left. */
  readonly isTakenIn: boolean;
  /** Shows all that is new, from the top. */
  readonly takeIn: () => void;
}

interface Seen<T> extends HeldRows<T> {
  readonly key: string;
  readonly turn: number;
  readonly fresh: readonly T[];
  readonly isHeld: boolean;
}

/** A list that is read anew every few seconds, and whose rows stay where they are while they are held. */
export function useHeld<T>({ key, read, newest, order, turn, restart, ...listed }: Listed<T>): Held<T> {
  const { rows: fresh, isTorn } = useMemo(() => withNewest(newest, read, order), [newest, read, order]);
  const [seen, setSeen] = useState<Seen<T>>({ key, turn, fresh, isHeld: false, rows: fresh, waiting: [] });
  const isHeld = listed.isHeld(seen.rows);
  const isSame = seen.key === key && seen.turn === turn;
  let now = seen;
  if (!isSame || seen.fresh !== fresh || seen.isHeld !== isHeld) {
    const held =
      isSame && isHeld && seen.rows.length > 0
        ? heldRows(seen.rows, fresh, order.keyOf)
        : { rows: fresh, waiting: [] };
    now = { key, turn, fresh, isHeld, ...held };
    setSeen(now);
  }
  useEffect(() => {
    if (isTorn && !isHeld) restart();
  }, [isTorn, isHeld, restart]);
  return {
    rows: now.rows,
    waiting: now.waiting,
    isTakenIn: now.rows === fresh,
    takeIn: () => {
      setSeen({ key, turn, fresh, isHeld, rows: fresh, waiting: [] });
      if (isTorn) restart();
      window.scrollTo(0, 0);
    },
  };
}

/** Forgets all pages of a list but the first, which is then read anew. */
export function keepFirstPage(data: InfiniteData<unknown> | undefined): void {
  if (data === undefined) return;
  const predicate = ({ state }: { readonly state: { readonly data: unknown } }) => state.data === data;
  const [[queryKey] = []] = queryClient.getQueriesData({ predicate });
  if (queryKey === undefined) return;
  queryClient.setQueryData(queryKey, {
    pages: data.pages.slice(0, 1),
    pageParams: data.pageParams.slice(0, 1),
  });
  void queryClient.invalidateQueries({ queryKey, exact: true });
}

/** Says how many rows wait, and shows them when it is told to. */
export function News({ count, takeIn }: { readonly count: number; readonly takeIn: () => void }) {
  return (
    <div className="news" role="status">
      {count === 0 ? undefined : (
        <button type="button" className="button primary small" onClick={takeIn}>
          {countText(count)} new
        </button>
      )}
    </div>
  );
}

/** What was read of a list, for `useHeld`. */
export function useReadBack<Page, T>(
  data: { readonly pages: readonly Page[] } | undefined,
  { rowsOf, lookedAt }: PageOf<Page, T>,
): ReadBack<T> {
  return useMemo(() => {
    const [first] = data?.pages ?? [];
    const atMs = first === undefined ? undefined : msOf(lookedAt(first));
    return { rows: data?.pages.flatMap(rowsOf) ?? [], atMs: atMs ?? -Infinity };
  }, [data, rowsOf, lookedAt]);
}
