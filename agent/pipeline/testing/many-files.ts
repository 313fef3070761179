import * as fs from "node:fs";
import type { TestContext } from "node:test";
import { TailWorld } from "./tail-world.ts";

/** Reads a hundred files under a limit of descriptors that is lower, and says how that went. */
const cleanups: (() => void)[] = [];
const w = new TailWorld({ after: (clean: () => void) => cleanups.push(clean) } as unknown as TestContext);
for (let n = 0; n < 100; n++) w.append(`f${n}.log`, `{"n":${n}}\n`);
w.start(` Path ${w.path("*.log")}\n Parser json\n Refresh_Interval 0.1\n`);
w.drain();
const first = { records: w.records.length, failing: w.report().filesFailing };
const [problem] = w.problems;
while (w.records.length < 100) {
  const before = w.records.length;
  // What was read goes away, as old logs do.
  for (const n of w.values<number>("n")) fs.rmSync(w.path(`f${n}.log`), { force: true });
  w.drain();
  w.drain();
  if (w.records.length === before) break;
}
process.stdout.write(JSON.stringify({ problem, first, all: new Set(w.values("n")).size }));
for (const clean of cleanups) clean();
