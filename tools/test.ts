import { run } from "node:test";
import { spec } from "node:test/reporters";
import { join, relative } from "node:path";
import { globalSetup, root, testFiles } from "./test-files.ts";

/**
 * Runs tests: all of them, or those in the folders and files that are given. The last line says how many passed and
 * failed; the exit code is 1 when one failed or none ran.
 */
const files = testFiles(process.argv.slice(2));
const counts = { passed: 0, failed: 0, skipped: 0 };
const durations: { readonly file: string; readonly seconds: number }[] = [];
// Hundreds of processes start with the same modules: what one has compiled, the others take.
process.env["NODE_COMPILE_CACHE"] ??= join(root, "node_modules", ".cache", "compiled");
const began = performance.now();

if (files.length === 0) {
  console.error(`No test file (*.test.ts) in ${process.argv.slice(2).join(", ")}`);
} else {
  const interrupted = new AbortController();
  const options = {
    files,
    // The tests start databases and processes of their own: more at once would only make them late.
    concurrency: 2,
    timeout: 300_000,
    signal: interrupted.signal,
    globalSetupPath: globalSetup, // Newer than the types.
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      interrupted.abort();
      process.exit(130);
    });
  }
  const events = run(options);
  events.on("test:summary", ({ file, duration_ms, counts: { tests, passed, skipped, todo } }) => {
    if (file !== undefined) {
      durations.push({ file: relative(root, file), seconds: duration_ms / 1000 });
      return; // One per file, then one for all.
    }
    counts.passed = passed;
    counts.skipped = skipped + todo;
    counts.failed = tests - passed - counts.skipped; // Also those that were cut off.
  });
  for await (const text of events.compose(spec)) process.stdout.write(String(text));
}

const seconds = Math.round((performance.now() - began) / 1000);
if (files.length > 10) {
  const slowest = durations.toSorted((a, b) => b.seconds - a.seconds).slice(0, 10);
  console.log(`slowest: ${slowest.map(({ file, seconds }) => `${file} ${seconds.toFixed(0)} s`).join(", ")}`);
}
console.log(`${files.length} files in ${seconds} s`);
const skipped = counts.skipped === 0 ? "" : `, ${counts.skipped} skipped`;
console.log(`${counts.passed} passed, ${counts.failed} failed${skipped}`);
process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;
