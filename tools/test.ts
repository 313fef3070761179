import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { bundle } from "./bundle/bundle.ts";
import { consoleStamp, takeConsole } from "./console.ts";
import { cpuSeconds } from "./test-cost.ts";
import { packPackages } from "./packed-packages.ts";
import { Ends } from "./test-ends.ts";
import { globalSetup, root, testFiles } from "./test-files.ts";
import { planProcesses, type Group } from "./test-processes.ts";
import { writeThreads } from "./test-threads.ts";
import { groupFile, Times } from "./test-times.ts";

/**
 * Runs tests: all of them, or those in the folders and files that are given. The last line says how many passed and
 * failed; the exit code is 1 when one failed or none ran.
 */
const wanted = process.argv.slice(2);
const files = testFiles(wanted);
const counts = { passed: 0, failed: 0, skipped: 0 };
// Hundreds of processes start with the same modules: what one has compiled, the others take.
process.env["NODE_COMPILE_CACHE"] ??= join(root, "node_modules", ".cache", "compiled");
// Many files mostly wait, for processes, agents and the beats of both: two more than there are cores keep these busy. Still more, with
// databases and processes of their own, would only make each other late.
const concurrency = Math.min(availableParallelism() + 2, 8);
const began = performance.now();
const ours = mkdtempSync(join(tmpdir(), "falconry-run-"));
const costs = join(ours, "costs");
process.env["FALCONRY_TEST_COST"] = costs;
process.env["FALCONRY_TEST_PACKAGES"] = await packPackages();
const { first, groups, last } = planProcesses(
  files,
  (path) => readFileSync(path, "utf8"),
  wanted.map((path) => resolve(path)),
);
const times = new Times(groups);

// What runs whole starts programs as people get them: see test/support/built-programs.ts.
if (files.length > 10) process.env["FALCONRY_TEST_BUILT"] = await build();

if (files.length === 0) {
  console.error(`No test file (*.test.ts) in ${wanted.join(", ")}`);
} else {
  const interrupted = new AbortController();
  const groupFiles = new Map(groups.map((group) => [writeGroup(group), group]));
  const ends = new Ends(groupFiles);
  const options = {
    files: [...first, ...groupFiles.keys(), ...last],
    concurrency,
    timeout: 300_000,
    signal: interrupted.signal,
    execArgv: ["test-cost.ts", "test-cut-off.ts", "test-packages.ts"].flatMap((name) => [
      "--import",
      join(root, "tools", name),
    ]),
    globalSetupPath: globalSetup, // Newer than the types.
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      interrupted.abort();
      process.exit(130);
    });
  }
  const events = run(options);
  // One per process, then one for all.
  events.on("test:summary", ({ file, success, duration_ms, counts: { tests, passed, skipped, todo } }) => {
    if (file !== undefined) {
      ends.testsEnded(file);
      times.processEnded(file, duration_ms);
      return;
    }
    counts.passed = passed;
    counts.skipped = skipped + todo;
    counts.failed = tests - passed - counts.skipped; // Also those that were cut off.
    // A suite that failed, by itself or a hook of it, is among no counts.
    if (!success && counts.failed === 0) counts.failed = 1;
  });
  events.on("test:pass", testEnded);
  events.on("test:fail", testEnded);
  events.on("test:fail", ({ file = "" }) => ends.failed(file));
  events.on("test:dequeue", (test) => ends.testBegan(test));
  for await (const text of events.compose(spec)) process.stdout.write(String(text));
  for (const line of ends.lines()) console.error(line);
}

process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;

// When Postgres has ended too: its time counts.
process.once("beforeExit", () => {
  const seconds = Math.round((performance.now() - began) / 1000);
  if (files.length > 10) for (const line of times.lines(costs)) console.log(line);
  rmSync(ours, { recursive: true });
  // Close to the time of all cores, only less work makes the run shorter; far below, more at once.
  const cpu = `${Math.round(cpuSeconds())} s of CPU time`;
  console.log(`${files.length} files in ${seconds} s, ${concurrency} at a time, ${cpu}`);
  const skipped = counts.skipped === 0 ? "" : `, ${counts.skipped} skipped`;
  console.log(`${counts.passed} passed, ${counts.failed} failed${skipped}`);
});

interface Ended {
  readonly nesting: number;
  readonly file?: string | undefined;
  readonly details: { readonly duration_ms: number };
}

function testEnded({ nesting, file = "", details }: Ended): void {
  if (nesting === 0) times.testEnded(file, details.duration_ms);
}

/** The folder of the built programs: our own, as people get them, and those that only tests start. */
async function build(): Promise<string> {
  // Below our packages, where a built program finds the embedded Postgres.
  const folder = join(root, "node_modules", ".cache", "built");
  const stamp = consoleStamp();
  const { status } = spawnSync(process.execPath, [join(root, "tools", "build.ts"), folder], {
    stdio: "inherit",
  });
  if (status !== 0) throw new Error("The programs could not be built");
  writeThreads(folder);
  takeConsole(join(folder, "console"), stamp);
  await bundle(root, { entry: "test/support/single-file.ts", outfile: join(folder, "test-programs.cjs") });
  return folder;
}

/** A file for the runner that has those of a group run together. */
function writeGroup({ name, files }: Group): string {
  const path = join(ours, groupFile(name));
  const runner = pathToFileURL(join(root, "tools", "test-together.ts")).href;
  writeFileSync(
    path,
    `import { runTogether } from ${JSON.stringify(runner)};\nawait runTogether(${JSON.stringify(files)});\n`,
  );
  return path;
}
