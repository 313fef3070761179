import { pastMinutes, pastMinutesMin, sliceMinutes, slices, slicesMin, watchedMinutesMax } from "./facts.ts";

const minuteMs = 60_000;
/** How long the counters of a minute that is over may be on their way. */
const onTheWayMs = 20_000;

/** Which times of a cluster are compared, in whole minutes. */
export interface Watch {
  readonly fromMs: number;
  readonly toMs: number;
  readonly minutes: number;
  readonly pastToMs: number;
  readonly pastFromMs: number;
  readonly alertsFromMs: number;
  /** How many slices there are from there. */
  readonly slices: number;
}

/**
 * The minute in which a bundle was applied belongs to neither time: what was before ends before it, and what is watched
 * begins after it. What is watched is the newest hour at most. The past begins no earlier than what ran before was given, so that a
 * bundle is compared with the one that it replaces and not with the one before that, as long as this leaves enough to compare with.
 */
export function watchOf(
  assignedMs: number,
  watchedFromMs: number,
  nowMs: number,
  previousMs?: number,
): Watch {
  const toMs = arrivedMinute(nowMs) * minuteMs;
  const firstMs = Math.ceil(watchedFromMs / minuteMs) * minuteMs;
  const fromMs = Math.min(Math.max(firstMs, toMs - watchedMinutesMax * minuteMs), Math.max(toMs, firstMs));
  const pastToMs = Math.floor(assignedMs / minuteMs) * minuteMs;
  const ran =
    previousMs === undefined
      ? Number.POSITIVE_INFINITY
      : pastToMs / minuteMs - Math.ceil(previousMs / minuteMs);
  const minutes = ran < pastMinutesMin ? pastMinutes : Math.min(ran, pastMinutes);
  const whole = Math.floor(ran / sliceMinutes);
  const counted = whole < slicesMin ? slices : Math.min(whole, slices);
  return {
    fromMs,
    toMs: Math.max(toMs, fromMs),
    minutes: Math.max(0, Math.round((toMs - fromMs) / minuteMs)),
    pastToMs,
    pastFromMs: pastToMs - minutes * minuteMs,
    alertsFromMs: pastToMs - counted * sliceMinutes * minuteMs,
    slices: counted,
  };
}

/** Whether two moments see the same whole minutes. */
export function isSameMinute(aMs: number, bMs: number): boolean {
  return arrivedMinute(aMs) === arrivedMinute(bMs);
}

/** The number of the minute in work, as far as counters have come. */
function arrivedMinute(nowMs: number): number {
  return Math.floor((nowMs - onTheWayMs) / minuteMs);
}
