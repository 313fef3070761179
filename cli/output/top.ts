import { type RateRow, totalOf } from "./rates.ts";
import { renderBytes, renderCount, renderSpan } from "./quantity.ts";
import { type Column, renderTable } from "./table.ts";
import { clean, countOf, cut, type Paint, plain, type Tone } from "./text.ts";

/** By what the clusters are sorted, with the key that a person presses for it. */
export const topSorts = {
  events: "e",
  alerts: "a",
  lag: "l",
  drops: "d",
  health: "h",
  name: "n",
} as const;
export type TopSort = keyof typeof topSorts;

export const healths = ["silent", "degraded", "updating", "unknown", "healthy"] as const;
export type Health = (typeof healths)[number];

/** One cluster. */
export interface TopRow extends RateRow {
  readonly health: Health;
}

/** A rollout that has not ended. */
export interface TopRollout {
  readonly id: string;
  readonly bundle: string;
  readonly state: string;
  /** As "2/5". */
  readonly wave: string;
  readonly proved: string;
}

/** How a person wants it. */
export interface TopView {
  readonly sort: TopSort;
  readonly isReversed: boolean;
  /** Rows that are scrolled away. */
  readonly offset: number;
  readonly isPaused: boolean;
}

/** The fleet at one moment, for a terminal of a size. */
export interface TopPicture {
  readonly rows: readonly TopRow[];
  readonly rollouts: readonly TopRollout[];
  readonly view: TopView;
  readonly columns: number;
  /** Lines that may be used. */
  readonly height: number;
  /** How long ago the fleet was so, when the server is away since. */
  readonly staleMs?: number | undefined;
}

export const firstView: TopView = { sort: "events", isReversed: false, offset: 0, isPaused: false };

/** What a key does to the view; undefined when it ends it. Any other key does nothing. */
export function pressed(view: TopView, key: string, rowCount: number, pageRows: number): TopView | undefined {
  const sort = (Object.keys(topSorts) as TopSort[]).find((each) => topSorts[each] === key);
  if (sort !== undefined) {
    // The key that it is sorted by already turns it round.
    return { ...view, sort, isReversed: sort === view.sort && !view.isReversed, offset: 0 };
  }
  const moved = (by: number): TopView => {
    const last = Math.max(0, rowCount - pageRows);
    return { ...view, offset: Math.min(last, Math.max(0, view.offset + by)) };
  };
  switch (key) {
    case "q":
    case "\u0003":
    case "\u001b":
      return undefined;
    case "p":
      return { ...view, isPaused: !view.isPaused };
    case "r":
      return { ...view, isReversed: !view.isReversed, offset: 0 };
    case "j":
    case "\u001b[B":
      return moved(1);
    case "k":
    case "\u001b[A":
      return moved(-1);
    case " ":
    case "\u001b[6~":
      return moved(pageRows);
    case "b":
    case "\u001b[5~":
      return moved(-pageRows);
    case "g":
      return moved(-rowCount);
    case "G":
      return moved(rowCount);
    default:
      return view;
  }
}

const rolloutsMax = 3;

/** Rows of clusters that a picture has room for. */
export function pageRowsOf({ rollouts, height }: Pick<TopPicture, "rollouts" | "height">): number {
  const shown = Math.min(rollouts.length, rolloutsMax) + (rollouts.length > rolloutsMax ? 1 : 0);
  // Two lines on top, the titles, a blank one and the keys.
  return Math.max(1, height - shown - 5);
}

/** The whole picture: health and sums, rollouts, clusters in the order that is wanted, and the keys. */
export function renderTop(picture: TopPicture, paint: Paint = plain): string[] {
  const { rows, view, columns } = picture;
  const page = pageRowsOf(picture);
  const offset = Math.min(view.offset, Math.max(0, rows.length - page));
  const shown = sortRows(rows, view).slice(offset, offset + page);
  const body =
    rows.length === 0
      ? ["No cluster matches."]
      : renderTable(shown, columnsFor(columns), { wide: false, paint });
  const till = offset + shown.length;
  const place = rows.length > page ? `${offset + 1}-${till} of ${rows.length}  ` : "";
  const order = `${view.sort}${view.isReversed ? " reversed" : ""}${view.isPaused ? ", paused" : ""}`;
  const help = "sort: e a l d h n  r: reverse  j k: scroll  p: pause  q: quit";
  return [
    healthLine(rows, paint, columns),
    cut(sumLine(rows), columns),
    ...rolloutLines(picture.rollouts, columns),
    ...body,
    "",
    picture.staleMs === undefined
      ? cut(`${place}by ${order}  ${help}`, columns)
      : painted(paint, "bad", cut(staleLine(picture.staleMs), columns)),
  ];
}

function staleLine(staleMs: number): string {
  return `The server does not answer; this was ${renderSpan(staleMs)} ago. Trying again ...  q: quit`;
}

const tones: Readonly<Record<Health, Tone | undefined>> = {
  silent: "bad",
  degraded: "bad",
  updating: "busy",
  unknown: "faint",
  healthy: "good",
};

function healthLine(rows: readonly TopRow[], paint: Paint, columns: number): string {
  const counts = healths.flatMap((health) => {
    const count = rows.filter((row) => row.health === health).length;
    return count === 0 ? [] : [{ health, text: `${count} ${health}` }];
  });
  const start = countOf(rows.length, "cluster");
  const whole = [start, ...counts.map(({ text }) => text)].join("  ");
  // Cutting what is painted would cut the paint.
  if (whole.length > columns) return cut(whole, columns);
  return [start, ...counts.map(({ health, text }) => painted(paint, tones[health], text))].join("  ");
}

function sumLine(rows: readonly TopRow[]): string {
  const { eventsPerSecond, bytesPerSecond, alertsPerMinute, lagMs, dropped, parked } = totalOf(rows);
  return [
    `${renderCount(eventsPerSecond)} events/s`,
    `${renderCount(alertsPerMinute)} alerts/min`,
    `lag ${renderSpan(lagMs)}`,
    `${dropped} dropped`,
    `${renderBytes(bytesPerSecond)}/s`,
    `${parked} parked`,
  ].join("  ");
}

function rolloutLines(rollouts: readonly TopRollout[], columns: number): string[] {
  const lines = rollouts
    .slice(0, rolloutsMax)
    .map(({ id, bundle, state, wave, proved }) =>
      cut(clean(`rollout ${bundle} ${state}: wave ${wave}, proved ${proved}  ${id}`), columns),
    );
  const more = rollouts.length - rolloutsMax;
  return more > 0 ? [...lines, `and ${countOf(more, "more rollout")}`] : lines;
}

const figures: Readonly<Record<Exclude<TopSort, "name">, (row: TopRow) => number>> = {
  events: (row) => row.eventsPerSecond,
  alerts: (row) => row.alertsPerMinute,
  lag: (row) => row.lagMs,
  drops: (row) => row.dropped * 1e6 + row.parked,
  health: (row) => -healths.indexOf(row.health),
};

/** What is most first, and of the same by name. */
export function sortRows(rows: readonly TopRow[], { sort, isReversed }: TopView): readonly TopRow[] {
  const byName = (a: TopRow, b: TopRow) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
  const figure = sort === "name" ? () => 0 : figures[sort];
  const sorted = rows.toSorted((a, b) => figure(b) - figure(a) || byName(a, b));
  return isReversed ? sorted.toReversed() : sorted;
}

/** What a column takes at most, with the blanks before it. */
interface Sized {
  readonly width: number;
  readonly column: Column<TopRow>;
}

/** By how much they are missed: those at the end go first on a narrow terminal. */
const figuresShown: readonly Sized[] = [
  { width: 10, column: { title: "HEALTH", cell: (row) => row.health, tone: (row) => tones[row.health] } },
  { width: 9, column: number("EV/S", (row) => renderCount(row.eventsPerSecond)) },
  { width: 12, column: number("ALERTS/MIN", (row) => renderCount(row.alertsPerMinute)) },
  {
    width: 9,
    column: {
      ...number("LAG", (row) => renderSpan(row.lagMs)),
      tone: (row) => (row.lagMs >= 60_000 ? "bad" : undefined),
    },
  },
  {
    width: 9,
    column: {
      ...number("DROPPED", (row) => `${row.dropped}`),
      tone: (row) => (row.dropped > 0 ? "bad" : undefined),
    },
  },
  { width: 8, column: number("PARKED", (row) => `${row.parked}`) },
  { width: 9, column: number("BYTES/S", (row) => renderBytes(row.bytesPerSecond)) },
  {
    width: 16,
    column: number("DETECTION", (row) =>
      row.eventsPerSecond === 0
        ? ""
        : `${(row.detectionUsPerSecond / row.eventsPerSecond).toFixed(1)}us/event`,
    ),
  },
];
const nameMin = 14;
const nameMax = 40;

function number(title: string, text: (row: TopRow) => string): Column<TopRow> {
  return { title, align: "right", cell: (row) => (row.minuteAt === undefined ? "" : text(row)) };
}

function columnsFor(width: number): readonly Column<TopRow>[] {
  const shown: Column<TopRow>[] = [];
  let left = width - nameMin;
  for (const { width: taken, column } of figuresShown) {
    if (taken > left) break;
    left -= taken;
    shown.push(column);
  }
  const room = Math.min(nameMax, nameMin + left);
  return [{ title: "CLUSTER", cell: (row) => cut(row.name, room) }, ...shown];
}

function painted(paint: Paint, tone: Tone | undefined, text: string): string {
  return tone === undefined ? text : paint(tone, text);
}
