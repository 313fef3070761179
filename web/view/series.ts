import type { RateSeries, Rates, RegionSummary } from "#proto/fleet/v1/cluster";
import { msOf } from "./time.ts";

const minuteMs = 60_000;

/** One value a minute, oldest first; undefined where nobody reported. */
export interface Line {
  readonly minutesMs: readonly number[];
  readonly values: readonly (number | undefined)[];
}

/**
 * What some clusters did together, minute by minute. The newest minute is left out: of most clusters it is not whole, and a
 * line that always falls at its end says nothing.
 */
export function sumLine(series: readonly RateSeries[], minutes: number, nowMs: number, read: Read): Line {
  const sums = new Map<number, number>();
  for (const { rates } of series) {
    for (const rate of rates) {
      const ms = msOf(rate.minute);
      if (ms !== undefined && rate.seconds > 0) sums.set(ms, read.join(sums.get(ms), read.value(rate)));
    }
  }
  return lineOf(sums, minutes, nowMs);
}

/** The same for regions whose minutes the server has summed: events per second. */
export function regionLine(
  regions: readonly Pick<RegionSummary, "minutes">[],
  minutes: number,
  nowMs: number,
): Line {
  const sums = new Map<number, number>();
  for (const { minute, eventsPerSecond } of regions.flatMap((region) => region.minutes)) {
    const ms = msOf(minute);
    if (ms !== undefined) sums.set(ms, add(sums.get(ms), eventsPerSecond));
  }
  return lineOf(sums, minutes, nowMs);
}

/** The server keeps an answer for a minute, and it is asked once a minute: two minutes may still be on their way, and a third while an answer takes its time. */
const onTheirWay = 3;

/** Ends with the newest minute that was told. Only where that is longer ago than an answer takes did nobody report since. */
function lineOf(sums: ReadonlyMap<number, number>, minutes: number, nowMs: number): Line {
  const overMs = (Math.floor(nowMs / minuteMs) - 1) * minuteMs;
  const newest = Array.from({ length: onTheirWay + 1 }, (_, i) => overMs - i * minuteMs);
  const lastMs = newest.find((ms) => sums.has(ms)) ?? overMs;
  const minutesMs = Array.from({ length: minutes }, (_, i) => lastMs - (minutes - 1 - i) * minuteMs);
  return { minutesMs, values: minutesMs.map((ms) => sums.get(ms)) };
}

/** A minute of a line in words: "10.2/s at 12:03 UTC". */
export function pointText(line: Line, index: number, format: (value: number) => string): string {
  const ms = line.minutesMs[index];
  if (ms === undefined) return "nothing reported";
  const value = line.values[index];
  return `${value === undefined ? "nothing reported" : format(value)} at ${new Date(ms).toISOString().slice(11, 16)} UTC`;
}

/** The place of the newest minute; the first one where there is none, because no place comes before it. */
export function lastOf({ values }: Line): number {
  return Math.max(0, values.length - 1);
}

const pageMinutes = 10;

/** Where a key leads on a line whose last place is `last`; undefined for keys that lead nowhere. */
export function keyStep(key: string, at: number, last: number): number | undefined {
  const to: Readonly<Record<string, number>> = {
    ArrowLeft: at - 1,
    ArrowDown: at - 1,
    ArrowRight: at + 1,
    ArrowUp: at + 1,
    PageDown: at - pageMinutes,
    PageUp: at + pageMinutes,
    Home: 0,
    End: last,
  };
  const next = Object.hasOwn(to, key) ? to[key] : undefined;
  return next === undefined ? undefined : Math.max(0, Math.min(last, next));
}

export interface Read {
  readonly value: (rates: Rates) => number;
  readonly join: (before: number | undefined, value: number) => number;
}

const add = (before: number | undefined, value: number): number => (before ?? 0) + value;

export const reads = {
  events: { value: (rates) => Number(rates.events) / rates.seconds, join: add },
  alerts: { value: (rates) => Number(rates.alerts), join: add },
  dropped: { value: (rates) => Number(rates.dropped) + Number(rates.parked), join: add },
  lag: { value: (rates) => Number(rates.lagMs), join: (before, value) => Math.max(before ?? 0, value) },
  /** Part of one core, in percent. */
  detection: { value: (rates) => Number(rates.detectionUs) / rates.seconds / 10_000, join: add },
} as const satisfies Readonly<Record<string, Read>>;
