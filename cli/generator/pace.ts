import { setTimeout as sleep } from "node:timers/promises";

export interface PaceOptions {
  readonly ratePerSecond: number;
  /** Milliseconds on a clock that never goes back. */
  readonly clockMs: () => number;
  readonly signal: AbortSignal;
}

const tickMs = 50;

/**
 * Yields how many items are due, about twenty times a second, until the signal aborts. What a slow or suspended process
 * missed is made up for by at most one second's worth at once, so that it never answers a pause with a flood.
 */
export async function* pace({ ratePerSecond, clockMs, signal }: PaceOptions): AsyncIterable<number> {
  let last = clockMs();
  let owed = 0;
  while (!signal.aborted) {
    const now = clockMs();
    owed = Math.min(owed + ((now - last) * ratePerSecond) / 1000, Math.max(ratePerSecond, 1));
    last = now;
    const due = Math.floor(owed);
    owed -= due;
    if (due > 0) yield due;
    await sleep(tickMs, undefined, { signal }).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  }
}
