import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import type { FuzzNews, FuzzTask } from "./worker.ts";

/** `FALCONRY_FUZZ_SECONDS=600` searches each way in for ten minutes; `FALCONRY_FUZZ_SEED` repeats a search. */
const seconds = Number(process.env["FALCONRY_FUZZ_SECONDS"] ?? 1.5);
/** However busy the machine is. */
const casesMin = 25;
const seed = Number(process.env["FALCONRY_FUZZ_SEED"] ?? Math.floor(Date.now() / 1000));
/** No input may keep the engine busy for so long that nothing is heard of it. */
const silenceMsMax = 20_000;
/** More memory than this for inputs of 60 KB means that something grows without bound. */
const memoryMbMax = 512;

interface Outcome {
  readonly cases: number;
  readonly slowestMs: number;
  readonly slowest: string;
}

/** Runs one search in a thread of its own, which can be ended when it hangs or takes too much memory. */
async function search(target: string): Promise<Outcome> {
  const task: FuzzTask = { target, casesMin, milliseconds: seconds * 1000, seed };
  const worker = new Worker(new URL("worker.ts", import.meta.url), {
    workerData: task,
    resourceLimits: { maxOldGenerationSizeMb: memoryMbMax },
  });
  let last = "";
  let outcome: Outcome | undefined;
  let silence = watch();
  const failure = new Promise<never>((_, reject) => {
    worker.on("error", (error) => reject(error));
    worker.on("hang", () => reject(new Error(`nothing heard for ${silenceMsMax} ms`)));
  });
  function watch(): NodeJS.Timeout {
    return setTimeout(() => worker.emit("hang"), silenceMsMax);
  }
  worker.on("message", (news: FuzzNews) => {
    clearTimeout(silence);
    silence = watch();
    if (news.kind === "input") last = news.input;
    else outcome = news;
  });
  try {
    await Promise.race([once(worker, "exit"), failure]);
  } catch (error) {
    const input = JSON.stringify(last.slice(0, 2000));
    throw new Error(`seed ${seed}: the last input of '${target}' was ${input}; keep it in test/fuzz/seeds`, {
      cause: error,
    });
  } finally {
    clearTimeout(silence);
    await worker.terminate();
  }
  assert.ok(outcome !== undefined, `the search of '${target}' ended without a word`);
  return outcome;
}

const ways: readonly (readonly [string, string])[] = [
  ["condition", "a condition"],
  ["output", "an output"],
  ["rules", "a rules file"],
  ["event", "a line of events"],
  ["records", "lines of the Linux audit log"],
  ["pattern", "a pattern"],
];
for (const [target, what] of ways) {
  test(`nothing in ${what} crashes or stalls the engine, or reaches into its objects`, async (t) => {
    const { cases, slowestMs, slowest } = await search(target);
    const worst = `the slowest took ${slowestMs.toFixed(1)} ms: ${JSON.stringify(slowest.slice(0, 200))}`;
    t.diagnostic(`${cases} inputs, seed ${seed}; ${worst}`);
    assert.ok(cases >= casesMin, `only ${cases} inputs were tried`);
  });
}
