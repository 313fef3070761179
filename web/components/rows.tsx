import {
  memo,
  useEffect,
  useLayoutEffect,
  useRef,
  type CSSProperties,
  type ReactNode,
  type RefObject,
} from "react";
import { inOrder, nearEndRows, placesOf, rowsToDraw, type Place } from "../view/places.ts";
import { useRowKeys } from "./keys.tsx";
import { showRow, useSight } from "./sight.ts";

export interface Column<T> {
  readonly key: string;
  readonly head: string;
  /** A track of a CSS grid. */
  readonly width: string;
  /** Left out where there is no room for it. */
  readonly isWideOnly?: boolean;
  readonly isNumber?: boolean;
  /** What stands in it always fits, or cuts itself: each clip costs time when rows are painted. */
  readonly isWhole?: boolean;
  readonly cell: (row: T) => ReactNode;
}

export interface Sorting {
  readonly by: string;
  readonly isReversed: boolean;
  readonly choose: (by: string) => void;
  /** The columns that can be sorted by. */
  readonly keys: readonly string[];
}

interface RowsProps<T> {
  readonly label: string;
  readonly rows: readonly T[];
  readonly columns: readonly Column<T>[];
  readonly keyOf: (row: T) => string;
  readonly sorting?: Sorting;
  /** Pixels of a row: all are alike, so that none has to be measured. */
  readonly height?: number;
  readonly onNearEnd?: () => void;
}

/** A table of any length, of which only what is in sight is drawn. The page scrolls, not a box in it. */
export function Rows<T>({ label, rows, columns, keyOf, sorting, height = 36, onNearEnd }: RowsProps<T>) {
  const body = useRef<HTMLDivElement>(null);
  const { places, last } = usePlaces(body, rows, keyOf, height);
  useRowKeys(body, rows.length, (index) => showRow(body.current, index, height));
  const isNearEnd = rows.length > 0 && last >= rows.length - nearEndRows;
  useLayoutEffect(() => {
    if (isNearEnd) onNearEnd?.();
  }, [isNearEnd, onNearEnd]);
  return (
    <div
      className="rows"
      role="table"
      aria-label={label}
      aria-rowcount={rows.length + 1}
      style={tracks(columns)}
    >
      <Heads columns={columns} {...(sorting === undefined ? {} : { sorting })} />
      <div ref={body} role="rowgroup" className="rows-body" style={{ height: rows.length * height }}>
        {places.map(({ place, index }) => {
          const row = rows[index];
          return row === undefined ? undefined : (
            <Line key={place} place={place} row={row} columns={columns} index={index} height={height} />
          );
        })}
      </div>
    </div>
  );
}

/** The rows that are drawn, each in its place, and the last of them that is near the window. */
function usePlaces<T>(
  body: RefObject<HTMLElement | null>,
  rows: readonly T[],
  keyOf: (row: T) => string,
  height: number,
): { readonly places: readonly Place[]; readonly last: number } {
  const { isMoving, ...sight } = useSight(body, height);
  const drawn = useRef<readonly Place[]>([]);
  const { from, to } = rowsToDraw(sight, rows.length);
  const wanted = rows.slice(from, to).map((row, i) => ({ key: keyOf(row), index: from + i }));
  const focused = useFocusedPlace(body)();
  const far = focused === undefined ? undefined : drawn.current.find(({ place }) => place === focused);
  if (far !== undefined) {
    // Who scrolls away from a row still has the focus there, and goes on from it.
    const index = indexOf(far, rows, keyOf);
    if (index !== -1 && (index < from || index >= to)) wanted.push({ key: far.key, index });
  }
  // While the list moves no node is moved within the document, which would cost as much as a new one.
  const taken = placesOf(drawn.current, wanted, focused);
  const places = isMoving ? taken : inOrder(taken);
  useLayoutEffect(() => {
    drawn.current = places;
  });
  return { places, last: to - 1 };
}

/**
 * The place that has the focus, asked when rows are drawn. While a dialog is open that is the place that had it last: the focus goes back
 * to what opened the dialog, which must not be another row's by then.
 */
function useFocusedPlace(body: RefObject<HTMLElement | null>): () => number | undefined {
  const last = useRef<number | undefined>(undefined);
  useEffect(() => {
    const rows = body.current;
    const note = () => {
      last.current = focusedPlace(rows);
    };
    rows?.addEventListener("focusin", note);
    return () => rows?.removeEventListener("focusin", note);
  }, [body]);
  return () => {
    const isCovered = document.querySelector("dialog[open]") !== null;
    return focusedPlace(body.current) ?? (isCovered ? last.current : undefined);
  };
}

function focusedPlace(body: HTMLElement | null): number | undefined {
  const row = document.activeElement?.closest<HTMLElement>("[data-place]");
  return row !== null && row !== undefined && body?.contains(row) === true
    ? Number(row.dataset["place"])
    : undefined;
}

/** Where a row is now; -1 when it has left. */
function indexOf<T>({ key, index }: Place, rows: readonly T[], keyOf: (row: T) => string): number {
  const there = rows[index];
  return there !== undefined && keyOf(there) === key ? index : rows.findIndex((row) => keyOf(row) === key);
}

interface LineProps<T> {
  readonly place: number;
  readonly row: T;
  readonly columns: readonly Column<T>[];
  readonly index: number;
  readonly height: number;
}

/** Scrolling draws only the rows that come into sight: those that were there are what they were. */
const Line = memo(function Line<T>({ place, row, columns, index, height }: LineProps<T>) {
  // Moved, not laid out: what is around stays where it is, and a row that changes its place shifts nothing.
  const style = { height, transform: `translateY(${index * height}px)` };
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      data-row={index}
      data-place={place}
      className="row"
      style={style}
    >
      <Cells row={row} columns={columns} />
    </div>
  );
}) as <T>(props: LineProps<T>) => ReactNode;

/** A table that is short enough to be drawn whole, with rows of any height. */
export function ShortRows<T>({
  label,
  rows,
  columns,
  keyOf,
}: Omit<RowsProps<T>, "height" | "onNearEnd" | "sorting">) {
  return (
    <div className="rows short" role="table" aria-label={label} style={tracks(columns)}>
      <Heads columns={columns} />
      <div role="rowgroup">
        {rows.map((row) => (
          <div key={keyOf(row)} role="row" className="row">
            <Cells row={row} columns={columns} />
          </div>
        ))}
      </div>
    </div>
  );
}

function Cells<T>({ row, columns }: { readonly row: T; readonly columns: readonly Column<T>[] }) {
  return columns.map((column) => (
    <div key={column.key} role="cell" className={classOf(column)}>
      {column.cell(row)}
    </div>
  ));
}

function Heads<T>({
  columns,
  sorting,
}: {
  readonly columns: readonly Column<T>[];
  readonly sorting?: Sorting;
}) {
  return (
    <div role="rowgroup" className="rows-head">
      <div role="row" className="row heads">
        {columns.map((column) => (
          <Head key={column.key} column={column} {...(sorting === undefined ? {} : { sorting })} />
        ))}
      </div>
    </div>
  );
}

function Head<T>({ column, sorting }: { readonly column: Column<T>; readonly sorting?: Sorting }) {
  const { key, head } = column;
  if (sorting === undefined || !sorting.keys.includes(key)) {
    return (
      <div role="columnheader" className={classOf(column)}>
        {head}
      </div>
    );
  }
  const isSorted = sorting.by === key;
  const order = !isSorted ? "none" : sorting.isReversed ? "descending" : "ascending";
  return (
    <div role="columnheader" aria-sort={order} className={classOf(column)}>
      <button type="button" className="sort" onClick={() => sorting.choose(key)}>
        {head}
        <span aria-hidden="true">{!isSorted ? "" : sorting.isReversed ? " ↑" : " ↓"}</span>
      </button>
    </div>
  );
}

function classOf<T>({ isWideOnly = false, isNumber = false, isWhole = isNumber }: Column<T>): string {
  return `cell${isWideOnly ? " wide-only" : ""}${isNumber ? " number right" : ""}${isWhole ? "" : " may-cut"}`;
}

function tracks<T>(columns: readonly Column<T>[]): CSSProperties {
  const of = (some: readonly Column<T>[]) => some.map(({ width }) => width).join(" ");
  return {
    "--tracks": of(columns),
    "--tracks-narrow": of(columns.filter(({ isWideOnly = false }) => !isWideOnly)),
  } as CSSProperties;
}
