import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInThisContext } from "node:vm";
import { holdOptimizers, releaseOptimizers } from "./optimizers.ts";
import { auditLine } from "./pipeline/testing/bundles.ts";
import { until } from "./pipeline/testing/until.ts";
import { applied, world } from "./pipeline/testing/world.ts";

/** Bits of V8's OptimizationStatus: by whichever compiler. */
const optimized = (1 << 4) | (1 << 5) | (1 << 6);

/** Whether V8 optimizes a new function in this process that is called often. */
function isOptimizing(): boolean {
  setFlagsFromString("--allow-natives-syntax");
  const { sum, statusOf } = runInThisContext(
    `({ sum: (n) => { let all = 0; for (let i = 0; i < n; i++) all += i % 7; return all; }, statusOf: (f) => %GetOptimizationStatus(f) })`,
  ) as { sum: (n: number) => number; statusOf: (of: unknown) => number };
  // What a function holds is read when it is first called.
  statusOf(sum);
  setFlagsFromString("--no-allow-natives-syntax");
  for (let call = 0; call < 20_000; call++) {
    sum(100);
    if ((statusOf(sum) & optimized) !== 0) return true;
  }
  return false;
}

test("an agent that reads next to nothing keeps V8 from optimizing, and one that reads a megabyte detects with optimized code", async (t) => {
  t.after(releaseOptimizers);
  holdOptimizers();
  const w = world(t);
  const pipeline = w.start();
  const lines = (count: number, from: string) =>
    Array.from({ length: count }, (_, i) => `${auditLine(`${from}${i}`)}\n`).join("");
  fs.writeFileSync(w.log, lines(10, "few"));
  await applied(pipeline, w);
  await until("the few records", () => w.ids().length === 10);
  assert.equal(isOptimizing(), false);
  const many = lines(3000, "many");
  assert.ok(many.length > 1024 * 1024);
  fs.appendFileSync(w.log, many);
  await until("V8 to optimize", isOptimizing);
});
