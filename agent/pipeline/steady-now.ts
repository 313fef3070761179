/** Begins as the time of day, and goes on steadily whatever is done to that. */
export function steadyNow(): number {
  return performance.timeOrigin + performance.now();
}
