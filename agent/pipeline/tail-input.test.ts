import assert from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
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
