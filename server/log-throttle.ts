import { createBuckets, type Rate } from "./domain/token-bucket.ts";

/** Writes a line unless too many of its kind were written lately; says how many of its kind were left out before it. */
export type Throttle = (kind: string, write: (leftOut: number) => void) => void;

const kindsMax = 200;

/** For lines that strangers can cause: a flood must not fill a disk, and must not hide that it is there. */
export function createThrottle(rate: Rate, now: () => number = () => performance.now()): Throttle {
  const buckets = createBuckets(kindsMax);
  const leftOut = new Map<string, number>();
  return (kind, write) => {
    const missed = leftOut.get(kind) ?? 0;
    if (buckets.take(kind, rate, now()) > 0) {
      if (leftOut.has(kind) || leftOut.size < kindsMax) leftOut.set(kind, missed + 1);
      return;
    }
    leftOut.delete(kind);
    write(missed);
  };
}
