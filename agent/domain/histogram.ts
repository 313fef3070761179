/** How often something took how long, in seconds. Plain numbers, so that it may be sent from thread to thread. */
export interface Histogram {
  /** The upper bound of each bucket, ascending; what is above all of them is in `count` alone. */
  readonly bounds: readonly number[];
  /** By bucket, each without those below it. */
  readonly counts: number[];
  count: number;
  sum: number;
}

/** From a millisecond to an hour: what takes longer than that is no matter of speed any more. */
export const latencyBounds: readonly number[] = [
  0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600,
];

export function newHistogram(bounds: readonly number[] = latencyBounds): Histogram {
  return { bounds, counts: bounds.map(() => 0), count: 0, sum: 0 };
}

/** Counts one that took so long; a clock that went back makes it 0, and what is no number is not counted. */
export function observeSeconds(histogram: Histogram, seconds: number): void {
  if (!Number.isFinite(seconds)) return;
  const value = Math.max(0, seconds);
  const bucket = histogram.bounds.findIndex((bound) => value <= bound);
  if (bucket !== -1) histogram.counts[bucket] = (histogram.counts[bucket] ?? 0) + 1;
  histogram.count += 1;
  histogram.sum += value;
}
