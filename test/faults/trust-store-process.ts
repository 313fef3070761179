import fs from "node:fs";

import { openTrustStore } from "../../agent/trust-store.ts";
import type { TrustSteps } from "./trust-store.ts";
import { takeStep } from "./trust-store.ts";

/**
 * `trust-store-process.ts STATE STEPS POINT`: takes the steps and is killed at that point of its writes, or at none. Points are
 * counted over all writes: an even one is before a call to the file system, an odd one after it. A write that is killed
 * "before" has come half its way.
 */
const [state = "", file = "", killAt = "-1"] = process.argv.slice(2);
const say = fs.writeSync;
let point = -1;

function reach(): void {
  point += 1;
  if (point !== Number(killAt)) return;
  process.kill(process.pid, "SIGKILL");
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); // The signal ends this.
}

/** Every call that changes the disk; `write-file-atomic` finds them on this object. */
for (const name of ["openSync", "writeSync", "fsyncSync", "chmodSync", "renameSync"] as const) {
  const real = fs[name] as (...args: unknown[]) => unknown;
  const killable = (...args: unknown[]): unknown => {
    if (name === "openSync" && args[1] === "r") return real(...args);
    if (name === "writeSync" && point + 1 === Number(killAt)) {
      const [fd, text] = args as [number, string];
      say(fd, text.slice(0, text.length / 2));
    }
    reach();
    const result = real(...args);
    reach();
    return result;
  };
  Object.assign(fs, { [name]: killable });
}

const { holder, now, steps } = JSON.parse(fs.readFileSync(file, "utf8")) as TrustSteps;
const store = openTrustStore(state, holder);
for (const [index, step] of steps.entries()) {
  takeStep(store, step, new Date(now));
  say(1, `took ${index}\n`);
}
say(1, `points ${point + 1}\n`);
