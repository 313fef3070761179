import * as fs from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { TailWorld } from "./tail-world.ts";

/** Takes away the permission to see a folder while the agent restarts, and gives it back; says how that went. */
const cleanups: (() => void)[] = [];
const w = new TailWorld({ after: (clean: () => void) => cleanups.push(clean) } as unknown as TestContext);
const isRoot = process.getuid?.() === 0;
const folder = w.path(".");
w.append("a.log", '{"n":1}\n');
w.start(` Path ${w.path("a.log")},${w.path("*.log")}\n Parser json\n Refresh_Interval 0.1\n`);
w.drain();
w.stop();
w.append("a.log", '{"n":2}\n');

fs.chmodSync(w.dir, 0o755);
fs.chmodSync(folder, 0o000);
// Root may see everything; somebody else may not.
if (isRoot) {
  for (const name of ["parked", "unpacked"]) {
    fs.mkdirSync(join(w.dir, name), { recursive: true });
    fs.chmodSync(join(w.dir, name), 0o777);
  }
  process.seteuid?.(65_534);
}
w.restart();
w.drain();
const without = { values: w.values("n"), problems: w.problems.join("; "), failing: w.report().filesFailing };
if (isRoot) process.seteuid?.(0);
fs.chmodSync(folder, 0o755);
w.drain();
w.drain();
process.stdout.write(
  JSON.stringify({ without, values: w.values("n"), lost: w.counters.lost, failing: w.report().filesFailing }),
);
for (const clean of cleanups) clean();
