import { setTimeout as sleep } from "node:timers/promises";

/** Waits until a condition holds; fails with its name after the deadline. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  deadlineMs: number = 20_000,
): Promise<void> {
  const end = Date.now() + deadlineMs;
  for (;;) {
    const began = performance.now();
    if (await holds()) return;
    if (Date.now() > end) throw new Error(`Not within ${deadlineMs} ms: ${what}`);
    // A look that costs much takes the cores from what is waited for.
    await sleep(Math.max(20, 2 * (performance.now() - began)));
  }
}
