/** The points in time at which an expression is evaluated, in microseconds since 1970: the first, and so many more. */
export interface Steps {
  readonly firstUs: bigint;
  readonly stepUs: bigint;
  readonly count: number;
}

/**
 * How records are counted for a range at all steps with one look at each: in buckets so wide that both the range and the step are whole
 * numbers of them. Bucket `i` holds what came after `fromUs + i * widthUs`, up to and with the end of it.
 */
export interface Grid {
  readonly fromUs: bigint;
  readonly widthUs: bigint;
  /** Buckets in a range. */
  readonly perRange: number;
  /** Buckets in a step. */
  readonly perStep: number;
  readonly count: number;
}

export function gridOf({ firstUs, stepUs, count }: Steps, rangeMs: number, offsetMs: number): Grid {
  const rangeUs = BigInt(rangeMs) * 1000n;
  const widthUs = count === 1 ? rangeUs : divisor(rangeUs, stepUs);
  const perRange = Number(rangeUs / widthUs);
  const perStep = count === 1 ? 0 : Number(stepUs / widthUs);
  return {
    fromUs: firstUs - BigInt(offsetMs) * 1000n - rangeUs,
    widthUs,
    perRange,
    perStep,
    count: perRange + perStep * (count - 1),
  };
}

function divisor(a: bigint, b: bigint): bigint {
  return b === 0n ? a : divisor(b, a % b);
}

/** The sum at each step of the buckets in its range; undefined where all of them are empty. */
export function slide(
  buckets: ReadonlyMap<number, number>,
  { perRange, perStep }: Grid,
  steps: number,
): readonly (number | undefined)[] {
  const filled = [...buckets].toSorted(([a], [b]) => a - b);
  const sums: (number | undefined)[] = [];
  let [head, tail, sum] = [0, 0, 0];
  for (let step = 0; step < steps; step++) {
    const begin = step * perStep;
    for (; (filled[head]?.[0] ?? Infinity) < begin + perRange; head++) sum += filled[head]?.[1] ?? 0;
    for (; tail < head && (filled[tail]?.[0] ?? Infinity) < begin; tail++) sum -= filled[tail]?.[1] ?? 0;
    sums.push(tail === head ? undefined : sum);
  }
  return sums;
}
