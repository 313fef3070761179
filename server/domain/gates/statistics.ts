/** The few statistics that the gates use. All of them bear a share of arbitrary values. */

/** The middle value; the mean of the two in the middle; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** The mean without the `cut` smallest and the `cut` largest; the median when that leaves nothing. */
export function trimmedMean(values: readonly number[], cut: number): number {
  return values.length <= 2 * cut ? median(values) : mean(trimmed(values, cut));
}

/** The values without the `cut` smallest and the `cut` largest. */
export function trimmed(values: readonly number[], cut: number): readonly number[] {
  return values.toSorted((a, b) => a - b).slice(cut, values.length - cut);
}

export function mean(values: readonly number[]): number {
  return values.length === 0 ? Number.NaN : sum(values) / values.length;
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

export function deviation(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const middle = mean(values);
  return Math.sqrt(sum(values.map((value) => (value - middle) ** 2)) / (values.length - 1));
}

/**
 * How much counts vary more than by pure chance: variance over mean, 1 for Poisson. Never under 1, so that a quiet hour
 * does not make the next minute look strange; at most 100, so that a wild past does not excuse everything.
 */
export function dispersion(counts: readonly number[]): number {
  const middle = mean(counts);
  if (!(middle > 0)) return 1;
  return Math.min(Math.max(deviation(counts) ** 2 / middle, 1), 100);
}

/** A rate out of counts that a burst in a few of them does not carry away. */
export function steadyRate(counts: readonly number[]): number {
  return counts.length === 0 ? 0 : trimmedMean(counts, Math.floor(counts.length / 6));
}

export function clamp(value: number, min: number, max: number): number {
  return Math.min(Math.max(value, min), max);
}
