import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import { programArgs } from "../../test/support/built-programs.ts";
import { runCli, temporaryDirectory } from "../../test/support/run-cli.ts";

const rules = `- rule: Read
  desc: d
  condition: ka.verb = get
  output: read by %ka.user.name
  priority: WARNING
  source: k8s_audit
`;
const line = (user: string): string =>
  JSON.stringify({
    kind: "Event",
    auditID: user,
    stageTimestamp: "2026-01-01T00:00:00Z",
    verb: "get",
    user: { username: user },
  });

async function folderWith(t: TestContext, files: Readonly<Record<string, string | Buffer>>): Promise<string> {
  const folder = await temporaryDirectory(t);
  for (const [name, content] of Object.entries({ "rules.yaml": rules, ...files })) {
    await writeFile(join(folder, name), content);
  }
  return folder;
}

test("rules run reads files packed by gzip, also of several parts, and says when one is damaged", async (t) => {
  const packed = Buffer.concat([gzipSync(`${line("a")}\n`), gzipSync(`${line("b")}\n`)]);
  const folder = await folderWith(t, { "a.gz": packed, "half.gz": packed.subarray(0, packed.length - 20) });
  const run = (name: string) =>
    runCli([
      "rules",
      "run",
      "--rules",
      join(folder, "rules.yaml"),
      "--events",
      join(folder, name),
      "-o",
      "json",
    ]);
  const { code, out, talk } = await run("a.gz");
  assert.deepEqual([code, out.split("\n").length - 1, JSON.parse(talk).events], [0, 2, 2]);
  const half = await run("half.gz");
  assert.equal(half.code, 2);
  assert.match(half.talk, /half\.gz cannot be read \(Z_BUF_ERROR\)/);
});

test("rules bench and explain read packed files too", async (t) => {
  const folder = await folderWith(t, {
    "a.gz": gzipSync(line("a")),
    "b.gz": Buffer.from([0x1f, 0x8b, 1, 2]),
  });
  const run = (command: string, file: string, ...more: readonly string[]) =>
    runCli([
      "rules",
      command,
      "--rules",
      join(folder, "rules.yaml"),
      ...more,
      join(folder, file),
      "-o",
      "json",
    ]);
  assert.equal(JSON.parse((await run("bench", "a.gz", "--events")).out).events, 1);
  assert.equal(
    JSON.parse((await run("explain", "a.gz", "--rule", "Read", "--event")).out).events[0].matches,
    true,
  );
  const damaged = await run("explain", "b.gz", "--rule", "Read", "--event");
  assert.equal(damaged.code, 2);
  assert.match(damaged.talk, /b\.gz cannot be read \(\w+\) when it is unpacked/);
});

/** A `fleetctl rules run` over many events, of which one of the outputs is read only as far as its first piece. */
async function runUntilFirst(folder: string, stream: "stdout" | "stderr") {
  const files = ["--rules", join(folder, "rules.yaml"), "--events", join(folder, "events.jsonl")];
  const child = spawn(process.execPath, [...programArgs("fleetctl"), "rules", "run", ...files], {
    stdio: "pipe",
  });
  child.stdin.end();
  const ended = once(child, "exit");
  const other = stream === "stdout" ? child.stderr : child.stdout;
  let rest = "";
  other.setEncoding("utf8").on("data", (piece: string) => (rest += piece));
  await once(child[stream], "data");
  child[stream].destroy();
  const [code] = await ended;
  return { code: code as number, rest };
}

test("rules run ends silently when its reader has seen enough", async (t) => {
  const events = `${line("a")}\n`.repeat(60_000);
  const folder = await folderWith(t, { "events.jsonl": events });
  const { code, rest } = await runUntilFirst(folder, "stdout");
  assert.deepEqual([code, rest], [141, ""]);
});

test("rules run goes on to the end when only nobody listens to the talk any more", async (t) => {
  const folder = await folderWith(t, { "events.jsonl": `nonsense\n${line("a")}\n`.repeat(3000) });
  const { code, rest } = await runUntilFirst(folder, "stderr");
  assert.deepEqual([code, rest.split("\n").length - 1], [0, 3000]);
});

test("rules test finds the tests of a folder, passes over rules and events beside them, and says so", async (t) => {
  const folder = await folderWith(t, {
    "events.yaml": `kind: Event\nverb: get\n`,
    "read_test.yaml": `rules: [rules.yaml]\ntests: [{ inline_events: [{ verb: get }], expect: { alerts: { Read: 1 } } }]\n`,
    "notes.txt": "no test",
  });
  const { code, out, talk } = await runCli(["rules", "test", folder]);
  assert.deepEqual([code, out], [0, "1 passed, 0 failed\n"]);
  assert.match(talk, /^passed over, no tests: \S*events\.yaml, \S*rules\.yaml\n$/);
  const pattern = await runCli(["rules", "test", join(folder, "*_test.yaml")]);
  assert.equal(pattern.out, "1 passed, 0 failed\n");
  const named = await runCli(["rules", "test", join(folder, "rules.yaml")]);
  assert.match(named.out, /this is a rules file, not a test file[\s\S]*\n0 passed, 1 failed\n$/);
  await mkdir(join(folder, "empty"));
  const none = await runCli(["rules", "test", join(folder, "empty")]);
  assert.equal(none.code, 2);
  assert.match(none.talk, /There is no test file directly in/);
  assert.equal((await runCli(["rules", "test", join(folder, "none.yaml")])).code, 2);
});

test("rules test ends standard output with the counts and says nothing more, also when tests fail", async (t) => {
  const folder = await folderWith(t, {
    "tests.yaml": `rules: [rules.yaml]\ntests:\n  - { name: a, expect: { alerts: { Read: 1 } } }\n  - { name: b, expect: {} }\n`,
  });
  const path = join(folder, "tests.yaml");
  const { code, out, talk } = await runCli(["rules", "test", path]);
  assert.deepEqual([code, talk], [1, ""]);
  assert.equal(
    out,
    `FAILED ${path}:3: a\n  Read: fired 0 times, should fire once\n  none of the test's events was evaluated\n1 passed, 1 failed\n`,
  );
  const report = join(folder, "none", "report.xml");
  const unwritten = await runCli(["rules", "test", path, "--junit", report]);
  assert.equal(unwritten.code, 2);
  assert.match(unwritten.out, /1 passed, 1 failed\n$/);
  const script = await runCli(["rules", "test", path, "-o", "json", "--junit", join(folder, "r.xml")]);
  const { passed, failed, tests } = JSON.parse(script.out);
  assert.deepEqual([passed, failed, tests[0].line, tests[1].line], [1, 1, 3, null]);
  assert.match(await readFile(join(folder, "r.xml"), "utf8"), /failures="1"/);
});

test("rules validate reports a file that cannot be read among the others, with exit code 1", async (t) => {
  const folder = await folderWith(t, { "latin.yaml": Buffer.from([0x23, 0xe4, 0x0a]) });
  const files = ["none.yaml", "rules.yaml", "latin.yaml"].map((name) => join(folder, name));
  const { code, out } = await runCli(["rules", "validate", ...files, "-o", "json"]);
  assert.equal(code, 1);
  const results: readonly { name: string; successful: boolean; errors: readonly { code: string }[] }[] =
    JSON.parse(out).falco_load_results;
  assert.deepEqual(
    results.map(({ successful, errors }) => [successful, errors.map((error) => error.code)]),
    [
      [false, ["LOAD_ERR_FILE_READ"]],
      [true, []],
      [false, ["LOAD_ERR_FILE_READ"]],
    ],
  );
  const people = await runCli(["rules", "validate", ...files]);
  assert.match(
    people.out,
    /none\.yaml cannot be read \(ENOENT\)[\s\S]*rules\.yaml: Ok[\s\S]*is no UTF-8 text/,
  );
  assert.match(people.talk, /2 files of 3 did not load/);
});
