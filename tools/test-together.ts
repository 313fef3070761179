import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { pathToFileURL } from "node:url";
import { cutOffIn } from "./test-cut-off.ts";
import { root } from "./test-files.ts";

/** A test may take five minutes (`test.ts`); then the next begins. */
const silentMsMax = 420_000;
/** Loading takes seconds at most; what a file awaits outside of its tests may never come. */
const loadingMsMax = 60_000;
/** When all tests have ended, nothing is left to wait for. */
const endingMsMax = 60_000;

/**
 * Runs test files in this process, one after another. All are loaded before the first test begins. A file that cannot be loaded, or not in time, is
 * a test that failed, and so is one that leaves the process other than it found it. A process that ends before its tests have is a failure, whatever
 * its exit code.
 */
export async function runTogether(files: readonly string[], longestLoadMs = loadingMsMax): Promise<void> {
  const loaded = Promise.withResolvers<void>();
  before(() => loaded.promise);
  failUnlessEnded(files);
  const watch = watchProcess();
  for (const file of files) {
    const name = relative(root, file);
    try {
      cutOffIn(silentMsMax, `loading ${name}`);
      await load(file, longestLoadMs);
      watch.check(`${name} was loaded`);
    } catch (error) {
      test(`${name} can be loaded`, () => {
        throw new Error(`${name} could not be loaded: ${String(error)}`, { cause: error });
      });
    }
  }
  watch.checkEachTest();
  loaded.resolve();
}

/** Loads a test file, which registers its tests. One that takes longer is not waited for. */
async function load(file: string, longestMs: number): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const message = `It was still loading after ${longestMs / 1000} s: see what it awaits outside of its tests`;
    late.reject(new Error(message));
  }, longestMs);
  try {
    await Promise.race([import(pathToFileURL(file).href), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** A test that ends the process must not hide those behind it. */
function failUnlessEnded(files: readonly string[]): void {
  let hasEnded = false;
  after(() => {
    hasEnded = true;
    cutOffIn(endingMsMax);
  });
  process.once("exit", () => {
    if (hasEnded) return;
    process.exitCode = 1;
    const names = files.map((file) => relative(root, file)).join(" ");
    console.error(
      `This process ended before its tests had. What is not reported above did not run, of: ${names}`,
    );
  });
}

interface Watch {
  /** Throws when the process is not as it was. */
  check(when: string): void;
  /** From now on, after each test and all of its hooks. */
  checkEachTest(): void;
}

function watchProcess(): Watch {
  let known = stateOfProcess();
  const check = (when: string): void => {
    const now = stateOfProcess();
    const changed = [...new Set([...known.keys(), ...now.keys()])].filter(
      (name) => known.get(name) !== now.get(name),
    );
    known = now; // Who did not change it is not blamed.
    if (changed.length === 0) return;
    throw new Error(
      `After ${when}, ${changed.join(", ")} is not what it was, and other test files share this process: put it back with t.after(), ` +
        "or see what has a file run alone in tools/test-processes.ts",
    );
  };
  return { check, checkEachTest: () => checkEachTest(check) };
}

function checkEachTest(check: (when: string) => void): void {
  beforeEach((t) => {
    cutOffIn(silentMsMax, `the test "${t.fullName}"`);
    // What a test within a test or a suite finds, these may have changed for as long as they last.
    if (!("after" in t) || t.fullName !== t.name) return;
    check(`what ran before the test "${t.name}"`);
    const last = (): void => check(`the test "${t.name}"`);
    // Hooks run in the order of their registration, and databases are dropped in a hook that a hook registers.
    t.after(() => t.after(() => t.after(last)));
  });
}

const signals = ["SIGINT", "SIGTERM", "SIGHUP", "uncaughtException", "unhandledRejection"];

/** What tests share of a process, and can change. */
function stateOfProcess(): ReadonlyMap<string, unknown> {
  return new Map<string, unknown>([
    ["process.cwd()", process.cwd()],
    ["process.exitCode", process.exitCode],
    ["process.umask()", umask()],
    ["Date.now", Date.now],
    ["globalThis.fetch", globalThis.fetch],
    ["process.stdout.write", Reflect.get(process.stdout, "write")],
    ...signals.map((name) => [`what listens to ${name}`, process.listenerCount(name)] as const),
    ...Object.entries(process.env).map(([name, value]) => [`process.env.${name}`, value] as const),
  ]);
}

/** As proc(5) has it: Node tells it only by setting another for a moment, which threads would notice. Undefined where there is no /proc. */
function umask(): string | undefined {
  if (process.platform !== "linux") return undefined;
  return /^Umask:\s*(\d+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
}
