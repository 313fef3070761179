/** Test files share processes: what is lost in one of them must not be lost in silence. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { pathToFileURL } from "node:url";
import { testFiles } from "../../tools/test-files.ts";
import { planProcesses, whyAlone } from "../../tools/test-processes.ts";
import { root } from "./files.ts";

interface Run {
  readonly status: number | null;
  /** Of each test, TAP's line. */
  readonly tests: readonly string[];
  readonly said: string;
}

type Contents = Readonly<Record<string, string>>;

/** Longer than any file here takes to load, however busy the machine is. */
const longestLoadMs = 4_000;

function folderFor(t: TestContext): string {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), "falconry-together-")));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Writes test files of this content; their paths. */
function writeTests(dir: string, contents: Contents, ending: string): readonly string[] {
  return Object.entries(contents).map(([name, content]) => {
    const path = join(dir, `${name}.test.${ending}`);
    writeFileSync(path, `import { after, describe, test } from "node:test";\n${content}\n`);
    return path;
  });
}

const toolUrl = (name: string): string => pathToFileURL(join(root, "tools", name)).href;

function runNode(...args: readonly string[]): Pick<Run, "status" | "said"> & { readonly stdout: string } {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { env, encoding: "utf8" });
  return { status, stdout, said: stdout + stderr };
}

/** Runs files of this content together, in a process as `npm test` starts it. */
function runTogether(t: TestContext, contents: Contents): Run {
  const dir = folderFor(t);
  const files = writeTests(dir, contents, "mjs");
  const group = join(dir, "group.test.mts");
  writeFileSync(
    group,
    `import { runTogether } from "${toolUrl("test-together.ts")}";\nawait runTogether(${JSON.stringify(files)}, ${longestLoadMs});\n`,
  );
  const { status, stdout, said } = runNode("--test-reporter=tap", group);
  const tests = stdout.split("\n").filter((line) => /^(not )?ok /.test(line));
  return { status, tests, said };
}

/** Runs files of this content as `npm test -- FOLDER` does. */
function runFolder(t: TestContext, contents: Contents): Pick<Run, "status" | "said"> {
  const dir = folderFor(t);
  writeTests(dir, contents, "ts");
  return runNode(join(root, "tools", "test.ts"), dir);
}

test("a file that cannot be loaded, fails, hangs or leaves its process changed is named, and hides no other file's tests", (t) => {
  const { status, tests, said } = runTogether(t, {
    broken: 'test("registered before", () => {}) + nothing.that.exists;',
    changes: 'test("changes", () => { process.env.FALCONRY_LEFT = "behind"; });',
    replaces:
      'test("replaces", () => {\n  Date.now = Date.now.bind(Date);\n  globalThis.fetch = fetch.bind(globalThis);\n' +
      "  process.stdout.write = process.stdout.write.bind(process.stdout);\n});",
    umask: 'test("sets the umask", () => { process.umask(process.umask() ^ 0o7); });',
    stuck: "await new Promise(() => {});",
    restores:
      'test("restores", (t) => {\n  process.env.FALCONRY_LEFT = "mine";\n  t.after(() => { process.env.FALCONRY_LEFT = "behind"; });\n});',
    hangs:
      'test("hangs", { timeout: 300 }, () => new Promise((resolve) => { setTimeout(resolve, 1_500); }));',
    fails: '\ntest("fails", () => { throw new Error("on purpose"); });',
    fine: 'test("is fine", () => {});',
  });
  assert.equal(status, 1, said);
  const ended = tests.map((line) => line.replace(/ \d+ - \S*?(?=\w+\.test)/, " ").replace(/ \d+ - /, " "));
  assert.deepEqual(ended.toSorted(), [
    "not ok broken.test.mjs can be loaded",
    "not ok changes",
    "not ok fails",
    "not ok hangs",
    "not ok replaces",
    ...(process.platform === "linux" ? ["not ok sets the umask"] : []),
    "not ok stuck.test.mjs can be loaded",
    "ok is fine",
    "ok registered before",
    "ok restores",
    ...(process.platform === "linux" ? [] : ["ok sets the umask"]),
  ]);
  assert.match(
    said,
    /After the test "replaces", Date\.now, globalThis\.fetch, process\.stdout\.write is not/,
  );
  assert.match(
    said,
    /stuck\.test\.mjs could not be loaded: Error: It was still loading after 4 s: see what it awaits outside of its tests/,
  );
  assert.match(said, /After the test "changes", process\.env\.FALCONRY_LEFT is not what it was/);
  assert.match(said, /location: '.*fails\.test\.mjs:3:1'/);
});

test("a test that ends its process with success fails the run, and the files whose tests are lost are named", (t) => {
  const { status, said } = runTogether(t, {
    first: 'test("first", () => {});',
    ends: 'test("ends", () => process.exit(0));',
    lost: 'test("lost", () => {});',
  });
  assert.equal(status, 1, said);
  assert.match(said, /ended before its tests had.*first\.test\.mjs .*ends\.test\.mjs .*lost\.test\.mjs/);
});

test("a suite whose body throws, or a hook of it, fails the run and its last line, though every test passed", (t) => {
  const suites = {
    throws: 'describe("throws", () => { throw new Error("on purpose"); });\ntest("is fine", () => {});',
    ends: 'describe("ends", () => {\n  after(() => { throw new Error("on purpose"); });\n  test("is fine", () => {});\n});',
  };
  for (const [name, content] of Object.entries(suites)) {
    const { status, said } = runFolder(t, { [name]: content });
    assert.match(said, /^1 passed, 1 failed$/m, name);
    assert.equal(status, 1, said);
  }
});

test("of a process that a signal ends, the run names the files and the test that began last, also behind one that failed", (t) => {
  const { status, said } = runFolder(t, {
    dies:
      'test("fails", () => { throw new Error("on purpose"); });\n' +
      'test("dies", async () => {\n  await new Promise((resolve) => { setTimeout(resolve, 50); });\n' +
      '  process["kill"](process.pid, "SIGKILL");\n});',
    lost: 'test("lost", () => {});',
  });
  assert.equal(status, 1, said);
  assert.match(
    said,
    /^others-1 did not end .*last: "dies" \(.*dies\.test\.ts:3\)\. Its files: .*dies\.test\.ts .*lost\.test\.ts$/m,
  );
});

test("a process that is cut off says which test began last", (t) => {
  const { status, said } = runTogether(t, {
    never:
      `import { cutOffIn } from "${toolUrl("test-cut-off.ts")}";\n` +
      'test("never ends", async () => {\n  cutOffIn(100);\n  setInterval(() => {}, 1_000);\n  await new Promise(() => {});\n});',
  });
  assert.equal(status, 1, said);
  assert.match(said, /cut off after 0\.1 s, .*what began last: the test "never ends";/);
});

test("every test file runs in one process, most of them together, and those that begin first alone", () => {
  const files = testFiles([]);
  const { first, groups, last } = planProcesses(files, (path) => readFileSync(path, "utf8"));
  const together = groups.flatMap((group) => group.files);
  assert.deepEqual([...first, ...together, ...last].toSorted(), files.toSorted());
  assert.ok(together.length > 200, `only ${together.length} run together`);
  assert.equal(new Set(groups.map((group) => group.name)).size, groups.length);
  assert.ok(first.length > 0 && first.every((path) => files.indexOf(path) < first.length));
  const two = ["any", "other"].map((name) => join(root, "engine", `${name}.test.ts`));
  const plan = (named: readonly string[]) => planProcesses(two, () => "", named);
  assert.deepEqual(
    plan([]).groups.map((group) => group.files),
    [two],
  );
  assert.deepEqual(plan(two).last, two, "a file that is run by its name has its process to itself");
});

test("a file that others in its process would notice, or that they would disturb, has a process of its own", () => {
  const alone = [
    "beforeEach(() => {});",
    'await test("loads", () => {});',
    'const done = await test("loads", () => {});',
    'import { spawn } from "node:child_process";',
    "process.exitCode = 1;",
    "const { rss } = process.memoryUsage();",
    '  t.mock.timers.enable({ apis: ["setTimeout"] });',
    "globalThis.fetch = answer;",
    "  Date.now = () => 0;",
    '  t.mock.method(Date, "now", () => 0);',
  ];
  const path = join(root, "engine", "any.test.ts");
  assert.deepEqual(
    alone.filter((text) => whyAlone(path, `import { test } from "node:test";\n${text}\n`) === undefined),
    [],
  );
  const shares = [
    '  before(() => {});\n  await t.test("inside", () => {});',
    'const env = process.env["PATH"];',
  ];
  assert.deepEqual(
    shares.map((text) => whyAlone(path, text)),
    [undefined, undefined],
  );
  assert.match(whyAlone(join(root, "test", "e2e", "any.test.ts"), "") ?? "", /longest/);
});
