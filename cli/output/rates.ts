import { renderBytes, renderCount, renderSpan } from "./quantity.ts";
import { type Column, renderTable } from "./table.ts";
import { plain, type Paint } from "./text.ts";

/** What flowed through one cluster, or the fleet, in a minute. */
export interface RateRow {
  readonly name: string;
  readonly eventsPerSecond: number;
  readonly bytesPerSecond: number;
  readonly alertsPerMinute: number;
  readonly dropped: number;
  readonly parked: number;
  readonly lagMs: number;
  /** CPU time that detection took, per second. */
  readonly detectionUsPerSecond: number;
  /** Milliseconds since 1970 of the minute's beginning; absent when the cluster reported nothing in the window. */
  readonly minuteAt?: number;
}

/** The sum of all clusters; of the lag the worst. Its minute is the newest of all. */
export function totalOf(rows: readonly RateRow[]): RateRow {
  const sum = (pick: (row: RateRow) => number) => rows.reduce((total, row) => total + pick(row), 0);
  const minutes = rows.flatMap((row) => (row.minuteAt === undefined ? [] : [row.minuteAt]));
  return {
    name: `${rows.length} in all`,
    eventsPerSecond: sum((row) => row.eventsPerSecond),
    bytesPerSecond: sum((row) => row.bytesPerSecond),
    alertsPerMinute: sum((row) => row.alertsPerMinute),
    dropped: sum((row) => row.dropped),
    parked: sum((row) => row.parked),
    lagMs: rows.reduce((worst, row) => Math.max(worst, row.lagMs), 0),
    detectionUsPerSecond: sum((row) => row.detectionUsPerSecond),
    ...(minutes.length === 0 ? {} : { minuteAt: Math.max(...minutes) }),
  };
}

/** The table of `top`, busiest first, with the fleet's sum as the last line. */
export function renderRates(rows: readonly RateRow[], wide: boolean, paint: Paint = plain): string[] {
  const sorted = rows.toSorted((a, b) => b.eventsPerSecond - a.eventsPerSecond || (a.name < b.name ? -1 : 1));
  return renderTable([...sorted, totalOf(rows)], columns, { wide, paint });
}

const reported = (row: RateRow, text: string): string => (row.minuteAt === undefined ? "" : text);

const columns: readonly Column<RateRow>[] = [
  { title: "CLUSTER", cell: (row) => row.name },
  { title: "EVENTS/S", align: "right", cell: (row) => reported(row, renderCount(row.eventsPerSecond)) },
  { title: "BYTES/S", align: "right", cell: (row) => reported(row, renderBytes(row.bytesPerSecond)) },
  { title: "ALERTS/MIN", align: "right", cell: (row) => reported(row, renderCount(row.alertsPerMinute)) },
  {
    title: "LAG",
    align: "right",
    cell: (row) => reported(row, renderSpan(row.lagMs)),
    tone: (row) => (row.lagMs >= 60_000 ? "bad" : undefined),
  },
  {
    title: "DROPPED",
    align: "right",
    cell: (row) => reported(row, `${row.dropped}`),
    tone: (row) => (row.dropped > 0 ? "bad" : undefined),
  },
  { title: "PARKED", align: "right", cell: (row) => reported(row, `${row.parked}`) },
  {
    title: "DETECTION",
    align: "right",
    cell: (row) =>
      row.eventsPerSecond === 0
        ? ""
        : `${(row.detectionUsPerSecond / row.eventsPerSecond).toFixed(1)}us/event`,
  },
  {
    title: "MINUTE",
    wide: true,
    cell: (row) => (row.minuteAt === undefined ? "no report" : clock(row.minuteAt)),
  },
];

/** HH:MM in UTC, by arithmetic, because pure code has no calendar. */
function clock(at: number): string {
  const minutes = Math.floor(at / 60_000) % 1440;
  const two = (value: number) => String(value).padStart(2, "0");
  return `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}Z`;
}
