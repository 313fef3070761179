/** How busy a thread was over a while. */
export interface Busyness {
  /** How long the while was. */
  readonly lengthMs: number;
  /** Of the while, 0 to 1. */
  readonly utilization: number;
}

/** What a thread did since its memory was last given back. */
export interface Quiet {
  /** What it worked in looks in which it was not at rest: that is what leaves something behind. */
  readonly workedMs: number;
  /** How many looks in a row it has been at rest by now. */
  readonly restLooks: number;
  /** Since memory was last given back; endless when it never was. */
  readonly sinceMs: number;
}

/** A thread that did less than this part of the time has nothing to do that would have to wait. */
const restBelow = 0.02;
/** For so many looks in a row: one alone may lie between two records. */
const restLooksMin = 4;
/** Less work than this leaves too little behind to be worth a collection. */
const workMs = 1000;
/** A collection stops detection: not oftener than this, whatever the load. */
const apartMs = 10 * 60_000;

/** Before the first look: a start is work that leaves much behind. */
export const justStarted: Quiet = { workedMs: workMs, restLooks: 0, sinceMs: Number.POSITIVE_INFINITY };

/** Whether a thread has come to rest after work, so that what the work left behind may go. */
export function stepQuiet(
  before: Quiet,
  { lengthMs, utilization }: Busyness,
): Quiet & { readonly isDue: boolean } {
  const isAtRest = utilization < restBelow;
  const workedMs = before.workedMs + (isAtRest ? 0 : lengthMs * utilization);
  const restLooks = isAtRest ? before.restLooks + 1 : 0;
  const sinceMs = before.sinceMs + lengthMs;
  const isDue = workedMs >= workMs && restLooks >= restLooksMin && sinceMs >= apartMs;
  return isDue ? { workedMs: 0, restLooks: 0, sinceMs: 0, isDue } : { workedMs, restLooks, sinceMs, isDue };
}
