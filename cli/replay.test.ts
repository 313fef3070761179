import assert from "node:assert/strict";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { runCli, temporaryDirectory } from "../test/support/run-cli.ts";

const entries = [
  {
    at: "2026-11-23T09:00:00.000Z",
    reason: "store:443 answered 400: no such field",
    output: "store",
    tag: "audit",
    line: '{"a":1}',
  },
  {
    at: "2026-11-23T10:00:00.000Z",
    reason: "store:443 answered 413",
    output: "store",
    tag: "audit",
    line: '{"a":2}',
  },
  {
    at: "2026-11-23T11:00:00.000Z",
    reason: "the line is not a record: it is no JSON object",
    tag: "audit",
    line: "nonsense",
  },
];

/** A state directory in which an agent set these entries aside. */
async function state(t: TestContext): Promise<string> {
  const dir = await temporaryDirectory(t);
  const folder = join(dir, "pipeline", "dead-letter");
  mkdirSync(folder, { recursive: true });
  const text = entries.map((entry) => `${JSON.stringify(entry)}\n`).join("");
  writeFileSync(join(folder, "parked-1795000000.jsonl"), text);
  return dir;
}

const requests = (dir: string) =>
  readdirSync(join(dir, "pipeline", "replay")).flatMap((name) => {
    const text = readFileSync(join(dir, "pipeline", "replay", name), "utf8");
    return (JSON.parse(text) as { entries: { offset: number; line?: string }[] }).entries;
  });

test("shipper replay lists what is set aside by output and reason, and asks for nothing", async (t) => {
  const dir = await state(t);
  const { code, out } = await runCli(["shipper", "replay", "--state", dir]);
  assert.equal(code, 0);
  assert.match(out, /1 {2}store {8}2026-11-23T09:00:00 {2}store:N answered N: no such field/);
  assert.match(out, /1 {2}\(no record\) {2}2026-11-23T11:00:00 {2}the line is not a record/);
  assert.match(out, /3 records set aside/);
  assert.deepEqual(readdirSync(join(dir, "pipeline")), ["dead-letter"]);
});

test("shipper replay asks for what is chosen, says who will do it, and --dry-run only counts", async (t) => {
  const dir = await state(t);
  const chosen = ["--alias", "store", "--since", "2026-11-23T09:30:00Z"];
  const dry = await runCli(["shipper", "replay", "--state", dir, ...chosen, "--dry-run"]);
  assert.match(dry.out, /3 records set aside, 1 chosen/);
  assert.deepEqual(readdirSync(join(dir, "pipeline")), ["dead-letter"]);
  const { out } = await runCli(["shipper", "replay", "--state", dir, ...chosen]);
  assert.match(out, /1 record to be sent again\. No agent works in this directory: the next one/);
  const offset = JSON.stringify(entries[0]).length + 1;
  assert.deepEqual(
    requests(dir).map((entry) => entry.offset),
    [offset],
  );
});

test("shipper replay exports broken lines and takes them back edited", async (t) => {
  const dir = await state(t);
  const file = join(dir, "lines.jsonl");
  await runCli(["shipper", "replay", "--state", dir, "--reason", "no JSON", "--export", file]);
  const exported = JSON.parse(readFileSync(file, "utf8")) as { id: string; line: string };
  assert.equal(exported.line, "nonsense");
  const twice = await runCli(["shipper", "replay", "--state", dir, "--all", "--export", file]);
  assert.deepEqual([twice.code, /EEXIST/.test(twice.talk)], [2, true], "a file of somebody stays as it is");
  writeFileSync(file, `${JSON.stringify({ ...exported, line: '{"repaired":true}' })}\n`);
  await runCli(["shipper", "replay", "--state", dir, "--edited", file]);
  assert.deepEqual(
    requests(dir).map((entry) => entry.line),
    ['{"repaired":true}'],
  );
});

test("shipper replay says what is wrong with a directory that is none of an agent, and with --since", async (t) => {
  const dir = await temporaryDirectory(t);
  const none = await runCli(["shipper", "replay", "--state", dir]);
  assert.deepEqual([none.code, none.out], [2, ""]);
  assert.match(none.talk, /holds no dead letters: give the directory in which an agent works/);
  const since = await runCli(["shipper", "replay", "--state", dir, "--since", "yesterday"]);
  assert.equal(since.code, 2);
  assert.match(since.talk, /--since "yesterday" is no time/);
});
