import assert from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { auditLine } from "./testing/bundles.ts";
import { until } from "./testing/until.ts";
import { applied, numbered, world, write } from "./testing/world.ts";

test("rotations by rename lose nothing and keep the order, while the pipeline runs and while it does not", async (t) => {
  const w = world(t);
  let pipeline = w.start();
  const wanted: string[] = [];
  const writeSome = (prefix: string) => {
    const ids = numbered(prefix, 200);
    wanted.push(...ids);
    write(w.log, ...ids);
  };
  writeSome("first");
  await applied(pipeline, w);
  for (let round = 0; round < 5; round++) {
    writeSome(`live-${round}`);
    fs.renameSync(w.log, join(w.dir, "log", `audit-2026-11-22T10-00-0${round}.000.log`));
  }
  writeSome("after");
  await until("all records", () => w.records().length >= wanted.length);
  writeSome("before the stop");
  await pipeline.stop();
  for (let round = 0; round < 3; round++) {
    writeSome(`down-${round}`);
    fs.renameSync(w.log, join(w.dir, "log", `audit-2026-11-22T11-00-0${round}.000.log`));
  }
  writeSome("last");
  pipeline = w.start();
  await applied(pipeline, w);
  await until("all records", () => w.records().length >= wanted.length);
  assert.deepEqual(w.ids(), wanted);
  assert.equal((await pipeline.stats()).lostFiles, 0);
});

test("copytruncate loses nothing: what was not read yet is read from the copy", async (t) => {
  const w = world(t);
  let pipeline = w.start();
  write(w.log, ...numbered("a", 100));
  await applied(pipeline, w);
  await until("the first records", () => w.records().length === 100);
  await pipeline.stop();
  write(w.log, ...numbered("b", 100));
  fs.copyFileSync(w.log, `${w.log}.1`);
  fs.truncateSync(w.log);
  write(w.log, ...numbered("c", 300));
  pipeline = w.start();
  await applied(pipeline, w);
  await until("all records", () => w.records().length >= 500);
  fs.copyFileSync(w.log, `${w.log}.2`);
  fs.truncateSync(w.log);
  write(w.log, "d");
  await until("the record after the second truncation", () => w.ids().includes("d"));
  assert.deepEqual(w.ids(), [...numbered("a", 100), ...numbered("b", 100), ...numbered("c", 300), "d"]);
});

test("what a crash of the writer left of a last line is read or set aside once the file is rotated away", async (t) => {
  const w = world(t);
  const pipeline = w.start();
  fs.writeFileSync(w.log, `${auditLine("a")}\n${auditLine("b").slice(0, 40)}`);
  await applied(pipeline, w);
  fs.renameSync(w.log, `${w.log}.2`);
  fs.writeFileSync(w.log, `${auditLine("c")}\n${auditLine("d")}`);
  await until("the new file to be read", () => w.ids().includes("c"));
  fs.renameSync(w.log, `${w.log}.1`);
  await until("the last line without a newline", () => w.ids().includes("d"));
  await until("the cut line set aside", async () => (await pipeline.stats()).parked === 1);
  assert.deepEqual(w.ids(), ["a", "c", "d"]);
});

test("an inode that a new file got while the pipeline was down is read from its beginning", async (t) => {
  const w = world(t);
  let pipeline = w.start();
  write(w.log, ...numbered("a", 10));
  await applied(pipeline, w);
  await until("the first records", () => w.records().length === 10);
  await pipeline.stop();
  // The same inode with other, longer content: what a reused inode looks like.
  fs.writeFileSync(w.log, "");
  write(w.log, ...numbered("b", 20));
  pipeline = w.start();
  await applied(pipeline, w);
  await until("the new records", () => w.records().length >= 30);
  assert.deepEqual(w.ids(), [...numbered("a", 10), ...numbered("b", 20)]);
});
