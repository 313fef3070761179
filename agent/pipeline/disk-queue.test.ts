import assert from "node:assert/strict";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import * as fc from "fast-check";
import { DiskQueue } from "./disk-queue.ts";

function folder(t: TestContext): string {
  const dir = fs.mkdtempSync(join(tmpdir(), "falconry-queue-"));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  return dir;
}

function open(dir: string, problems: string[] = [], bytesMax = 1e9): DiskQueue {
  return new DiskQueue(dir, { bytesMax, segmentBytes: 200, onProblem: (message) => problems.push(message) });
}

function put(queue: DiskQueue, ...lines: string[]): void {
  for (const line of lines) {
    queue.append({ tag: "audit", count: 1, oldestMs: 1, body: [Buffer.from(`${line}\n`)] });
  }
}

function drain(queue: DiskQueue): string[] {
  const found: string[] = [];
  for (let entries = queue.next(1e9, 3); entries.length > 0; entries = queue.next(1e9, 3)) {
    found.push(...entries.map((entry) => entry.body.toString().trimEnd()));
    queue.ack(entries);
  }
  return found;
}

const names = (count: number) => Array.from({ length: count }, (_, index) => `record ${index}`);
const segments = (dir: string) =>
  fs
    .readdirSync(dir)
    .filter((name) => name.endsWith(".seg"))
    .sort();

test("a queue gives back what it was given, in order, over many segments and a restart", (t) => {
  const dir = folder(t);
  const first = open(dir);
  put(first, ...names(30));
  assert.ok(segments(dir).length > 3);
  first.close();
  const second = open(dir);
  assert.equal(second.records, 30);
  put(second, "last");
  assert.deepEqual(drain(second), [...names(30), "last"]);
  assert.deepEqual([second.records, second.bytes], [0, 0]);
  second.close();
  assert.deepEqual(segments(dir), []);
});

test("what was taken but not acknowledged comes again, after rewind and after a crash", (t) => {
  const dir = folder(t);
  const queue = open(dir);
  put(queue, "a", "b", "c");
  queue.ack(queue.next(1e9, 1));
  queue.next(1e9, 1);
  queue.rewind();
  assert.deepEqual(
    queue.next(1e9, 1).map((e) => e.body.toString()),
    ["b\n"],
  );
  // No close: as after kill -9.
  assert.deepEqual(drain(open(dir)), ["b", "c"]);
});

test("a torn tail costs the torn entry and nothing else, wherever it is torn", (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 25 }), (cut) => {
      const dir = folder(t);
      const queue = open(dir);
      put(queue, "a", "b");
      const path = join(dir, segments(dir).at(-1)!);
      fs.truncateSync(path, fs.statSync(path).size - cut);
      const again = open(dir);
      put(again, "c");
      assert.deepEqual(drain(again), ["a", "c"]);
    }),
    { numRuns: 25 },
  );
});

test("damage in the middle is reported and kept for people, and later segments are delivered", (t) => {
  const dir = folder(t);
  const queue = open(dir);
  put(queue, ...names(30));
  const path = join(dir, segments(dir)[1]!);
  const bytes = fs.readFileSync(path);
  bytes[30] = (bytes[30] ?? 0) ^ 0xff;
  fs.writeFileSync(path, bytes);
  const problems: string[] = [];
  const found = drain(open(dir, problems));
  assert.equal(problems.length, 1);
  assert.ok(fs.existsSync(`${path}.damaged`));
  assert.ok(found.includes("record 0") && found.includes("record 29") && found.length < 30);
});

test("a lost position note costs duplicates, never records", (t) => {
  const dir = folder(t);
  const queue = open(dir);
  put(queue, "a", "b");
  queue.ack(queue.next(1e9, 1));
  queue.close();
  fs.writeFileSync(join(dir, "position.json"), "");
  assert.deepEqual(drain(open(dir)), ["a", "b"]);
});

test("a queue says when it is full, and has room again after acknowledgement", (t) => {
  const queue = open(folder(t), [], 60);
  put(queue, "a", "b", "c");
  assert.ok(queue.isFull);
  queue.ack(queue.next(1e9, 100));
  assert.ok(!queue.isFull);
});
