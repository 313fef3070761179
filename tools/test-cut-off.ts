import { readFileSync, readdirSync } from "node:fs";
import { isMainThread } from "node:worker_threads";

/**
 * Loaded into the process of a test file: ends it, and the processes that it started, when it is still there after the longest time that a
 * file may take. The timeout of a test only ends the waiting for it: what the test has open would keep its file, and with it the whole run,
 * for ever.
 */
const longestMs = 420_000;
const path = process.argv[1] ?? "";
let pending: NodeJS.Timeout | undefined;
let lastBegan = "";

if (isMainThread && /\.test\.m?ts$/.test(path)) cutOffIn(longestMs);

/** Puts the cut-off of this process so far from now, and says what begins: where files run together, each that is loaded and each test does. */
export function cutOffIn(ms: number, begins?: string): void {
  if (begins !== undefined) lastBegan = `; what began last: ${begins}`;
  clearTimeout(pending);
  pending = setTimeout(cutOff, ms, ms).unref();
}

function cutOff(ms: number): void {
  const open = [...new Set(process.getActiveResourcesInfo())].join(", ");
  console.error(
    `${path}: cut off after ${ms / 1000} s, because it did not end by itself${lastBegan}; what it had open: ${open}`,
  );
  for (const pid of descendants(process.pid)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has just ended.
    }
  }
  process.exit(1);
}

/** The processes below one, in proc(5)'s lists of children; none where there is no /proc. */
function descendants(pid: number): readonly number[] {
  if (process.platform !== "linux") return [];
  try {
    const children = readdirSync(`/proc/${pid}/task`)
      .flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").split(" "))
      .filter((word) => word !== "")
      .map(Number);
    return children.flatMap((child) => [child, ...descendants(child)]);
  } catch {
    return []; // It has just ended.
  }
}
