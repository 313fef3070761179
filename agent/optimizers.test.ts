import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInThisContext } from "node:vm";
import { holdOptimizers, releaseOptimizers } from "./optimizers.ts";
import { auditLine } from "./pipeline/testing/bundles.ts";
import { until } from "./pipeline/testing/until.ts";
import { applied, world } from "./pipeline/testing/world.ts";

/** Whether V8 optimizes a function that is called often, by the bits of its OptimizationStatus for either compiler. Needs V8's own syntax. */
const probe = `(() => {
  const sum = (n) => { let all = 0; for (let i = 0; i < n; i++) all += i % 7; return all; };
  for (let call = 0; call < 20_000; call++) {
    sum(100);
    if ((%GetOptimizationStatus(sum) & 0b1110000) !== 0) return true;
  }
  return false;
})()`;

function isOptimizing(): boolean {
  setFlagsFromString("--allow-natives-syntax");
  const found = runInThisContext(probe) as boolean;
  setFlagsFromString("--no-allow-natives-syntax");
  return found;
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

test("the agent's one file starts without optimizing, so that what its start took is not kept", (t) => {
  const w = world(t);
  const atExit = join(w.dir, "at-exit.cjs");
  fs.writeFileSync(atExit, `process.on("exit", () => console.log("optimizing:", ${probe}));`);
  const said = (program: string) => {
    // What is optimized beside the program may not be done in time.
    const args = ["--allow-natives-syntax", "--no-concurrent-recompilation", "--require", atExit];
    const all = [...args, join(import.meta.dirname, program), "--version"];
    return spawnSync(process.execPath, all, { encoding: "utf8" }).stdout;
  };
  assert.match(said("single-file.ts"), /^falconry-agent .+\noptimizing: false\n$/);
  // As the sources start, which shows that the question is answered.
  assert.match(said("main.ts"), /^falconry-agent .+\noptimizing: true\n$/);
});
