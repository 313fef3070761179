import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Threads that tests have our code start in their process, and which part of which built program each is. */
const threads = {
  "agent/pipeline/worker.ts": ["falconry-agent.cjs", "@worker"],
  "agent/pipeline/backtest-worker.ts": ["falconry-agent.cjs", "@backtest-worker"],
  "server/loading/worker.ts": ["falconry-server.cjs", "@worker"],
} as const;

const fileOf = (built: string, source: string): string =>
  join(built, "threads", `${source.replaceAll("/", "-").replace(/\.ts$/, "")}.cjs`);

/** Writes what `test-packages.ts` has threads begin with, into the folder of the built programs. */
export function writeThreads(built: string): void {
  mkdirSync(join(built, "threads"));
  for (const [source, [program, part]] of Object.entries(threads)) {
    const text = `process.argv.splice(2, 0, "${part}");\nrequire("../${program}");\n`;
    writeFileSync(fileOf(built, source), text);
  }
}

/** Where each of these sources is found as a part of a built program. */
export function builtThreads(built: string): ReadonlyMap<string, string> {
  return new Map(Object.keys(threads).map((source) => [source, fileOf(built, source)]));
}
