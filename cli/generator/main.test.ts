import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { programArgs } from "../../test/support/built-programs.ts";
import { readLedger } from "./ledger.ts";
import { allAuditIdsIn } from "./log-files.ts";

const main = programArgs("generator");

interface Paths {
  readonly file: string;
  readonly ledger: string;
}

function inFolder(t: TestContext): Paths {
  const folder = mkdtempSync(join(tmpdir(), "generator-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return { file: join(folder, "audit.log"), ledger: join(folder, "audit.ledger.jsonl") };
}

function start(t: TestContext, { file, ledger }: Paths, ...more: string[]): ChildProcess {
  const child = spawn(process.execPath, [...main, "--file", file, "--ledger", ledger, ...more], {
    stdio: "pipe",
  });
  t.after(() => child.kill("SIGKILL"));
  return child;
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; await sleep(20)) if (holds()) return;
  assert.fail(`Not within 20 s: ${what}`);
}

const sizeOf = (file: string): number => (existsSync(file) ? statSync(file).size : 0);

test("SIGTERM stops the generator cleanly, with the exact count in the ledger", async (t) => {
  const paths = inFolder(t);
  const child = start(t, paths, "--rate", "500", "--threat-every", "20");
  await until("some lines are written", () => sizeOf(paths.file) > 50_000);
  child.kill("SIGTERM");
  const [code] = (await once(child, "exit")) as [number];
  assert.equal(code, 0);
  const ids = await allAuditIdsIn(paths.file);
  const ledger = readLedger(paths.ledger);
  assert.equal(ledger.stoppedCleanly, true);
  assert.equal(ledger.lines, ids.length);
  const written = new Set(ids);
  assert.ok(ledger.planted.length > 0 && ledger.planted.every(({ auditId }) => written.has(auditId)));
});

test("after kill -9 at any moment the next run goes on with fresh ids and a ledger that is true", async (t) => {
  const paths = inFolder(t);
  const settings = ["--rate", "2000", "--threat-every", "5", "--max-bytes", "200000"];
  for (let round = 0; round < 3; round += 1) {
    const before = readLedger(paths.ledger).runs;
    const child = start(t, paths, ...settings);
    await until("a run has planted something", () => {
      const ledger = readLedger(paths.ledger);
      return ledger.runs > before && ledger.planted.length > (round + 1) * 40;
    });
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  const last = start(t, paths, ...settings, "--lines", "100");
  assert.deepEqual(await once(last, "exit"), [0, null]);
  const ids = await allAuditIdsIn(paths.file);
  const ledger = readLedger(paths.ledger);
  assert.equal(ledger.runs, 4);
  assert.ok(ledger.lines >= ids.length, "the ledger is never behind the log");
  const counts = new Map<string, number>();
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  assert.ok(
    [...counts.values()].every((count) => count <= 2),
    "a request has at most two lines",
  );
  assert.ok(
    ledger.planted.every(({ auditId }) => counts.has(auditId)),
    "what is planted is in the log",
  );
});

test("--stop-with-parent stops the generator cleanly when whoever started it is gone", async (t) => {
  const paths = inFolder(t);
  const child = start(t, paths, "--rate", "500", "--stop-with-parent");
  await until("some lines are written", () => sizeOf(paths.file) > 20_000);
  child.stdin?.end();
  assert.deepEqual(await once(child, "exit"), [0, null]);
  assert.equal(readLedger(paths.ledger).stoppedCleanly, true);
});

test("--stop-with-parent does not keep a generator alive that has written its last line", async (t) => {
  const child = start(t, inFolder(t), "--rate", "500", "--lines", "10", "--stop-with-parent");
  assert.deepEqual(await once(child, "exit"), [0, null]);
});

test("a recorded log is replayed once, in order, and the generator ends", async (t) => {
  const paths = inFolder(t);
  const recorded = `${paths.file}.recorded`;
  const lines = Array.from({ length: 50 }, (_, index) => `{"auditID":"r-${index}"}`);
  writeFileSync(recorded, `${lines.join("\n")}\nnot json\n`);
  const child = start(t, paths, "--rate", "1000", "--replay", recorded);
  assert.deepEqual(await once(child, "exit"), [0, null]);
  assert.equal(readFileSync(paths.file, "utf8"), readFileSync(recorded, "utf8"));
  assert.equal(readLedger(paths.ledger).lines, 51);
});

test("a looped replay never repeats an auditID of an earlier round", async (t) => {
  const paths = inFolder(t);
  const recorded = `${paths.file}.recorded`;
  writeFileSync(recorded, '{"auditID":"a"}\n{"auditID":"b"}\n');
  const child = start(t, paths, "--rate", "1000", "--replay", recorded, "--loop", "--lines", "20");
  assert.deepEqual(await once(child, "exit"), [0, null]);
  assert.equal(new Set(await allAuditIdsIn(paths.file)).size, 20);
});

test("wrong usage names every problem and exits 2", () => {
  const wrong = ["--rate", "fast", "--threat-every", "1", "--replay", "/no/such/file", "--loop"];
  const { status, stderr } = spawnSync(process.execPath, [...main, ...wrong], { encoding: "utf8" });
  assert.equal(status, 2);
  for (const part of ['--rate is "fast"', "--threat-every is 1", "--file is missing", "/no/such/file"]) {
    assert.ok(stderr.includes(part), stderr);
  }
});

test("a log that cannot be written ends the generator with its name and exit 1", () => {
  const file = join(tmpdir(), "no-such-folder", "audit.log");
  const { status, stderr } = spawnSync(process.execPath, [...main, "--file", file], { encoding: "utf8" });
  assert.equal(status, 1);
  assert.ok(stderr.includes(file), stderr);
  assert.ok(!stderr.includes("    at "), "no stack trace");
});
