import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  realpathSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { programArgs } from "../test/support/built-programs.ts";
import { type CliResult, temporaryDirectory } from "../test/support/run-cli.ts";

const config = `[SERVICE]
  Flush 0.1
[INPUT]
  Name tail
  Alias log
  Tag audit
  Path \${DIR}/log
  Parser json
  Refresh_Interval 0.2
[FILTER]
  Name modify
  Match *
  Add x_cluster \${CLUSTER}
[OUTPUT]
  Name file
  Alias kept
  Match audit
  Path \${DIR}/out
  File kept.jsonl
  Format plain
`;

async function folder(t: TestContext, more = ""): Promise<string> {
  const dir = realpathSync(await temporaryDirectory(t));
  mkdirSync(join(dir, "tmp"));
  writeFileSync(join(dir, "a.conf"), config + more);
  return dir;
}

function start(dir: string, ...flags: string[]) {
  const args = [
    ...programArgs("fleetctl"),
    "shipper",
    "run",
    join(dir, "a.conf"),
    "--set",
    `DIR=${dir}`,
    ...flags,
  ];
  const env = { ...process.env, TMPDIR: join(dir, "tmp") };
  return spawn(process.execPath, args, { cwd: dir, env, stdio: ["ignore", "pipe", "pipe"] });
}

async function run(dir: string, ...flags: string[]): Promise<CliResult> {
  const child = start(dir, ...flags);
  let [out, talk] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => (out += chunk));
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (talk += chunk));
  const [code] = (await once(child, "close")) as [number];
  return { code, out, talk };
}

const lines = (path: string): string[] =>
  existsSync(path)
    ? readFileSync(path, "utf8")
        .split("\n")
        .filter((line) => line !== "")
    : [];
const kept = (dir: string) => lines(join(dir, "out", "kept.jsonl"));

test("shipper run --once delivers what is there, filters applied, leaves nothing behind and exits 0", async (t) => {
  const dir = await folder(
    t,
    "[OUTPUT]\n  Name stdout\n  Alias shown\n  Match audit\n  Format json_lines\n  Json_Date_Key false\n",
  );
  writeFileSync(join(dir, "log"), '{"n":1}\n{"n":2}\n');
  const { code, out, talk } = await run(dir, "--once", "--set", "CLUSTER=here");
  assert.equal(code, 0, talk);
  assert.equal(out, '{"n":1,"x_cluster":"here"}\n{"n":2,"x_cluster":"here"}\n');
  assert.deepEqual(kept(dir), out.trim().split("\n"));
  assert.match(talk, /read 2 .*shown 2/);
  assert.deepEqual(readdirSync(join(dir, "tmp")), []);
});

test("shipper run --once takes a last line without a newline for a line", async (t) => {
  const dir = await folder(t);
  writeFileSync(join(dir, "log"), '{"n":1}\n{"n":2}');
  const { code, talk } = await run(dir, "--once");
  assert.equal(code, 0, talk);
  assert.equal(kept(dir).length, 2);
});

test("shipper run that is told to end while its pipeline starts was interrupted, which is no bug, and leaves nothing behind", async (t) => {
  const dir = await folder(t);
  writeFileSync(join(dir, "log"), '{"n":1}\n');
  const child = start(dir, "--set", "CLUSTER=here");
  const children = () => lines(`/proc/${child.pid}/task/${child.pid}/children`).join("").trim();
  let talk = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (talk += chunk));
  const ended = once(child, "close");
  while (children() === "" && child.exitCode === null) await sleep(5);
  const pipeline = children();
  child.kill("SIGTERM");
  const [code] = (await ended) as [number];
  // On a machine that was slow to tell us it may run already, and then ends well.
  assert.ok(code === 130 || (code === 0 && kept(dir).length <= 1), `${code}: ${talk}`);
  if (code === 130) assert.match(talk, /^fleetctl: Interrupted before all was delivered$/m);
  assert.doesNotMatch(talk, /bug|killed|with code/);
  assert.equal(existsSync(`/proc/${pipeline}`), false, "the process of the pipeline");
  assert.deepEqual(readdirSync(join(dir, "tmp")), []);
});

test("shipper run refuses what lies outside the folder, says what and how to allow it", async (t) => {
  const dir = await folder(t);
  const other = await folder(t);
  writeFileSync(join(other, "log"), '{"n":1}\n');
  const outside = ["--once", "--set", `DIR=${other}`];
  const { code, talk } = await run(dir, ...outside);
  assert.equal(code, 1);
  assert.match(talk, /a\.conf:3:1: This agent may not read ".*log"/);
  assert.match(talk, /a\.conf:14:1: This agent may not write to ".*out"/);
  assert.match(talk, /--allow-named/);
  assert.ok(!existsSync(join(other, "out")));

  const named = await run(dir, ...outside, "--allow-named");
  assert.equal(named.code, 0, named.talk);
  assert.equal(kept(other).length, 1);

  const allowFile = join(dir, "allow.json");
  writeFileSync(allowFile, JSON.stringify({ tailDirectories: [other], fileDirectories: [] }));
  const listed = await run(dir, ...outside, "--allow", allowFile);
  assert.equal(listed.code, 1);
  assert.doesNotMatch(listed.talk, /may not read/);
  assert.match(listed.talk, /may not write.*\n.*allow\.json/);
});

test("shipper run says with exit code 1 and a kept state that a line was set aside", async (t) => {
  const dir = await folder(t);
  writeFileSync(join(dir, "log"), '{"n":1}\nnonsense\n');
  const { code, talk } = await run(dir, "--once");
  assert.equal(code, 1);
  const state = /1 lines and records are set aside\. What is left is in (\S+): give it with --state/.exec(
    talk,
  )?.[1];
  assert.ok(state !== undefined, talk);
  assert.match(
    readFileSync(
      join(state, "pipeline", "dead-letter", readdirSync(join(state, "pipeline", "dead-letter"))[0] ?? ""),
      "utf8",
    ),
    /nonsense/,
  );
});

test("shipper run ends in order when it is interrupted, and goes on there with the same --state", async (t) => {
  const dir = await folder(t);
  writeFileSync(join(dir, "log"), '{"n":1}\n');
  const child = start(dir, "--state", join(dir, "state"));
  const exited = once(child, "exit");
  while (kept(dir).length < 1) await sleep(20);
  child.kill("SIGINT");
  assert.deepEqual(await exited, [0, null]);
  appendFileSync(join(dir, "log"), '{"n":2}\n');
  const { code, talk } = await run(dir, "--state", join(dir, "state"), "--once");
  assert.equal(code, 0, talk);
  assert.deepEqual(
    kept(dir).map((line) => (JSON.parse(line) as { n: number }).n),
    [1, 2],
  );
});

test("shipper run looks with rules, and says that it cannot without", async (t) => {
  const dir = await folder(
    t,
    "[OUTPUT]\n  Name detect\n  Match audit\n[OUTPUT]\n  Name fleet\n  Match alerts\n",
  );
  writeFileSync(
    join(dir, "log"),
    `${JSON.stringify({ kind: "Event", apiVersion: "audit.k8s.io/v1", auditID: "a", stage: "ResponseComplete", verb: "create", stageTimestamp: "2026-11-23T09:00:00.000000Z", objectRef: { resource: "pods", subresource: "exec" } })}\n`,
  );
  const without = await run(dir, "--once");
  assert.equal(without.code, 2);
  assert.match(without.talk, /output "detect", which needs rules: give the rules with --rules/);
  writeFileSync(
    join(dir, "rules.yaml"),
    "- rule: Exec\n  desc: d\n  condition: jevt.value[/objectRef/subresource] = exec\n  output: somebody ran exec\n  priority: WARNING\n  source: k8s_audit\n",
  );
  const { code, talk } = await run(dir, "--once", "--rules", join(dir, "rules.yaml"));
  assert.equal(code, 0, talk);
  assert.match(talk, /alert: Warning: Exec: .*somebody ran exec/);
});

test("shipper run refuses a config that is none with exit code 2 and its place", async (t) => {
  const dir = await folder(t, "[OUTPUT]\n  Name kafkaa\n  Match *\n");
  const { code, talk } = await run(dir, "--once");
  assert.equal(code, 2);
  assert.match(talk, /a\.conf:22:3: .*kafkaa/);
});
