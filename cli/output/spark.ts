const steps = "▁▂▃▄▅▆▇█";

/** A line of small bars, one for each count; the greatest of `most` is a whole one, and nothing is a blank dot. */
export function sparkline(counts: readonly bigint[], most: bigint): string {
  return counts
    .map((count) => {
      if (count === 0n || most === 0n) return "·";
      const step = Math.ceil((Number(count) / Number(most)) * steps.length) - 1;
      return steps[Math.min(Math.max(step, 0), steps.length - 1)] ?? "";
    })
    .join("");
}

/** The counts in at most so many sums of neighbours, so that a line fits its place. */
export function fewer(counts: readonly bigint[], max: number): readonly bigint[] {
  const size = Math.ceil(counts.length / max);
  if (size <= 1) return counts;
  const sums = Array.from({ length: Math.ceil(counts.length / size) }, () => 0n);
  for (const [i, count] of counts.entries()) {
    const at = Math.floor(i / size);
    sums[at] = (sums[at] ?? 0n) + count;
  }
  return sums;
}
