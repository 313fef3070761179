import { mkdir, rmdir, stat, utimes } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { misused } from "./failure.ts";

const lookMs = 50;
const waitMs = 30_000;
/** A holder says so often that it is still there. */
const touchMs = 3_000;
/** Whoever did not say so for this long is gone. Shorter than anybody waits, so that a killed holder stops nobody. */
const staleMs = 15_000;

/** Runs work that only one process at a time may do. The lock is a directory, which one alone can make. */
export async function withLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  const until = Date.now() + waitMs;
  while (!(await take(path))) {
    if (Date.now() > until) {
      throw misused(`Another fleetctl holds ${path} for too long`, `rmdir ${path}   if none runs any more`);
    }
    await delay(lookMs);
  }
  const touching = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(ignoreMissing);
  }, touchMs);
  try {
    return await work();
  } finally {
    clearInterval(touching);
    await rmdir(path).catch(ignoreMissing);
  }
}

async function take(path: string): Promise<boolean> {
  try {
    await mkdir(path, { mode: 0o700 });
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EEXIST") {
      throw misused(`The lock ${path} cannot be made (${code})`, "Check who owns the directory.");
    }
  }
  const age = await stat(path).then(
    ({ mtimeMs }) => Date.now() - mtimeMs,
    () => 0,
  );
  if (age > staleMs) await rmdir(path).catch(ignoreMissing);
  return false;
}

/** Somebody else removed it first. */
function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT") throw error;
}
