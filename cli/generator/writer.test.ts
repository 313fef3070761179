import assert from "node:assert/strict";
import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { readLedger } from "./ledger.ts";
import { allAuditIdsIn, rotatedFiles } from "./log-files.ts";
import { type GeneratedLine, planAudit } from "./stream.ts";
import { openAuditWriter, type WriterOptions } from "./writer.ts";

function inFolder(t: TestContext): WriterOptions & { readonly ledger: string } {
  const folder = mkdtempSync(join(tmpdir(), "generator-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const now = () => new Date("2026-11-23T08:48:11.123Z");
  const [file, ledger] = [join(folder, "audit.log"), join(folder, "audit.ledger.jsonl")];
  return { file, ledger, maxBytes: 20_000, backupsMax: 0, seed: "1", now };
}

function someLines(seed: string, count: number): readonly GeneratedLine[] {
  const options = {
    seed,
    cluster: "eu-1",
    threatEvery: 10,
    startMicros: 1_795_424_888_000_000,
    stepMicros: 5000,
  };
  return planAudit({ ...options, count });
}

test("append() rotates before the limit and loses, repeats or reorders nothing", async (t) => {
  const options = inFolder(t);
  const lines = someLines("a", 300);
  const writer = openAuditWriter(options);
  for (let at = 0; at < lines.length; at += 7) writer.append(lines.slice(at, at + 7));
  writer.close();
  assert.deepEqual(
    await allAuditIdsIn(options.file),
    lines.map(({ auditId }) => auditId),
  );
  const rotated = rotatedFiles(options.file);
  assert.ok(rotated.length > 10, `${rotated.length} rotated files`);
  for (const file of [...rotated, options.file]) assert.ok(statSync(file).size <= options.maxBytes, file);
  // The clock of this test stands still, so every rotation had to find a name of its own.
  assert.match(rotated[0] ?? "", /audit-2026-11-23T08-48-11\.123\.log$/);
});

test("append() writes a line that is longer than the limit into a file of its own", async (t) => {
  const options = { ...inFolder(t), maxBytes: 5000 };
  const writer = openAuditWriter(options);
  const long = { auditId: "long", line: JSON.stringify({ auditID: "long", pad: "x".repeat(9000) }) };
  const [before, after] = someLines("a", 2);
  assert.ok(before !== undefined && after !== undefined);
  writer.append([before, long, after]);
  assert.deepEqual(await allAuditIdsIn(options.file), [before.auditId, "long", after.auditId]);
  assert.equal(rotatedFiles(options.file).length, 2);
});

test("append() keeps as many rotated files as it is told, the newest ones", async (t) => {
  const options = { ...inFolder(t), backupsMax: 3 };
  const lines = someLines("a", 300);
  const writer = openAuditWriter(options);
  for (const line of lines) writer.append([line]);
  assert.equal(rotatedFiles(options.file).length, 3);
  const kept = await allAuditIdsIn(options.file);
  assert.deepEqual(
    kept,
    lines.slice(-kept.length).map(({ auditId }) => auditId),
  );
});

test("a ledger knows every planted threat and, after a clean stop, the exact count", (t) => {
  const options = inFolder(t);
  const lines = someLines("a", 123);
  const writer = openAuditWriter(options);
  writer.append(lines);
  assert.ok(readLedger(options.ledger).lines >= 123, "the ledger is never behind the log");
  assert.equal(readLedger(options.ledger).stoppedCleanly, false);
  writer.close();
  const planted = lines.flatMap(({ planted }) => (planted === undefined ? [] : [planted]));
  assert.deepEqual(readLedger(options.ledger), { runs: 1, lines: 123, planted, stoppedCleanly: true });
});

test("a run after a kill withdraws what was announced and not written, and numbers itself", async (t) => {
  const options = { ...inFolder(t), maxBytes: 1_000_000 };
  const lines = someLines("a", 40);
  openAuditWriter(options).append(lines.slice(0, 30));
  // What a kill leaves between the two writes: the ledger has the threat, the log does not, and both end mid-line.
  appendFileSync(
    options.ledger,
    '{"kind":"threat","auditId":"lost","threat":"exec","rule":"Exec Into Pod"}\n{"kind":"co',
  );
  appendFileSync(options.file, '{"kind":"Event","auditID":"lo');
  const second = openAuditWriter(options);
  assert.equal(second.run, 2);
  second.append(lines.slice(30));
  second.close();
  const planted = lines.flatMap(({ planted }) => (planted === undefined ? [] : [planted]));
  assert.deepEqual(readLedger(options.ledger).planted, planted);
  assert.deepEqual(
    await allAuditIdsIn(options.file),
    lines.map(({ auditId }) => auditId),
  );
  assert.match(readFileSync(options.file, "utf8"), /"auditID":"lo\n\{"kind"/);
});

test("a clean stop withdraws nothing, even when the rotated files are gone", (t) => {
  const options = inFolder(t);
  const writer = openAuditWriter(options);
  writer.append(someLines("a", 30));
  writer.close();
  truncateSync(options.file);
  for (const file of rotatedFiles(options.file)) rmSync(file);
  openAuditWriter(options).close();
  assert.equal(readLedger(options.ledger).planted.length, 3);
});

test("rotatedFiles() leaves files alone that only look alike", (t) => {
  const { file } = inFolder(t);
  for (const name of ["audit.log", "audit-old.log", "audit.ledger.jsonl", "audit-2026-11-23T08-48-11.log"]) {
    writeFileSync(join(file, "..", name), "");
  }
  writeFileSync(join(file, "..", "audit-2026-11-23T08-48-11.123.log"), "");
  assert.deepEqual(
    rotatedFiles(file).map((path) => path.split("/").at(-1)),
    ["audit-2026-11-23T08-48-11.123.log"],
  );
});
