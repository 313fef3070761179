import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { justStarted, stepQuiet } from "./domain/quiet.ts";

/** Code that is not running goes, too; what is called again is compiled again. */
const flushAll = "stress-flush-code";

type CollectGarbage = (options: {
  readonly type: "major";
  readonly execution: "sync";
  readonly flavor: "last-resort";
}) => void;

/**
 * Gives memory of this thread's heap back to the system that nothing lives in: what a start, a bundle or a burst of records left behind.
 * V8 keeps it for the next burst, which on a quiet node may never come. Stops the thread, on a small machine for hundreds of milliseconds, so
 * it is for moments without work.
 */
function giveBackMemory(): void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as CollectGarbage;
  // Only as the last resort does V8 make its young generation small again.
  setFlagsFromString(`--${flushAll}`);
  collect({ type: "major", execution: "sync", flavor: "last-resort" });
  setFlagsFromString(`--no-${flushAll}`);
}

const lookMs = 5000;

/** Gives back memory of this thread when it has come to rest after work. */
export function giveBackWhenQuiet(): void {
  let quiet = justStarted;
  let seen = performance.eventLoopUtilization();
  const look = (): void => {
    const now = performance.eventLoopUtilization();
    const { active, idle, utilization } = performance.eventLoopUtilization(now, seen);
    seen = now;
    const next = stepQuiet(quiet, { lengthMs: active + idle, utilization });
    quiet = next;
    if (!next.isDue) return;
    giveBackMemory();
    // The collection is no work that leaves anything behind.
    seen = performance.eventLoopUtilization();
  };
  setInterval(look, lookMs).unref();
}
