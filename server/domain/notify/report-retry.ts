const minuteMs = 60_000;
const longestMs = 60 * minuteMs;
/** Times that the report of one day is tried. */
export const triesMax = 8;

/**
 * When a report that failed so many times since the last that was made is tried again: after a minute, two, four, up to an hour, from
 * `nowMs` on, in milliseconds. Undefined when its day is given up: the next one tells of its time as well.
 */
export function retryReportMs(failures: number, nowMs: number): number | undefined {
  const tries = ((failures - 1) % triesMax) + 1;
  if (tries === triesMax) return undefined;
  return nowMs + Math.min(longestMs, minuteMs * 2 ** (tries - 1));
}
