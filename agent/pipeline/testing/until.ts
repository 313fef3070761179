import { setTimeout as sleep } from "node:timers/promises";

/** Waits until a condition holds; fails with its name after the deadline. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  deadlineMs: number = 20_000,
): Promise<void> {
  const end = Date.now() + deadlineMs;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`Not within ${deadlineMs} ms: ${what}`);
    await sleep(20);
  }
}
