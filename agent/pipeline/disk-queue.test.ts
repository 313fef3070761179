import assert from "node:assert/strict";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import * as fc from "fast-check";
import { DiskQueue } from "./disk-queue.ts";
import { breakSyncs } from "./testing/failing-sync.ts";

function folder(t: TestContext): string {
  const dir = fs.mkdtempSync(join(tmpdir(), "falconry-queue-"));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  return dir;
}

function open(dir: string, problems: string[] = [], bytesMax = 1e9): DiskQueue {
  return new DiskQueue(dir, {
    bytesMax,
    segmentBytes: 200,
    onProblem: (_code, message) => problems.push(message),
  });
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

test("damage in the segment that was written last is told from a torn end: it is reported, and what is before it is delivered", (t) => {
  const dir = folder(t);
  const queue = new DiskQueue(dir, { bytesMax: 1e9, segmentBytes: 100_000, onProblem: assert.fail });
  put(queue, ...names(30));
  const path = join(dir, segments(dir)[0]!);
  const bytes = fs.readFileSync(path);
  bytes[500] = (bytes[500] ?? 0) ^ 0xff;
  fs.writeFileSync(path, bytes);
  const problems: string[] = [];
  const found = drain(open(dir, problems));
  assert.equal(problems.length, 1);
  assert.ok(fs.existsSync(`${path}.damaged`));
  assert.deepEqual(found, names(found.length));
  assert.ok(found.length > 5 && found.length < 30);
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

type Step =
  | { readonly kind: "append" | "take"; readonly count: number }
  | { readonly kind: "ack" | "rewind" | "crash" | "close" | "lose-position" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constantFrom("append", "take"), count: fc.integer({ min: 1, max: 6 }) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("ack") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("rewind", "crash", "close", "lose-position") }) },
);

test("whatever happens, a queue gives what is not acknowledged, in order, and after a crash nothing that was", (t) => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 80 }),
      fc.integer({ min: 60, max: 400 }),
      (steps, segmentBytes) => {
        const dir = folder(t);
        const openIt = () => new DiskQueue(dir, { bytesMax: 1e9, segmentBytes, onProblem: assert.fail });
        let queue = openIt();
        let written = 0;
        let acknowledged = 0;
        /** What was acknowledged may come again when the note of it is lost, from here on. */
        let floor = 0;
        let taken: ReturnType<DiskQueue["next"]> = [];
        const numbers = (entries: typeof taken) => entries.map((entry) => Number(entry.body.toString()));
        for (const one of steps) {
          if (one.kind === "append") {
            for (let n = 0; n < one.count; n++) put(queue, String(written++));
          } else if (one.kind === "take" && taken.length === 0) {
            taken = queue.next(1e9, one.count);
            const [first = acknowledged] = numbers(taken);
            assert.ok(first <= acknowledged && first >= floor, `${first} came, ${acknowledged} was wanted`);
            assert.deepEqual(
              numbers(taken),
              Array.from({ length: taken.length }, (_, n) => first + n),
            );
          } else if (one.kind === "ack") {
            acknowledged = Math.max(acknowledged, ...numbers(taken).map((n) => n + 1));
            floor = taken.length === 0 ? floor : acknowledged;
            queue.ack(taken);
            taken = [];
          } else if (one.kind === "rewind") {
            queue.rewind();
            taken = [];
          } else if (one.kind !== "take") {
            if (one.kind === "close") queue.close();
            if (one.kind === "lose-position") {
              fs.rmSync(join(dir, "position.json"), { force: true });
              floor = 0;
            }
            queue = openIt();
            taken = [];
          }
        }
        queue.rewind();
        const rest = numbers(queue.next(1e9, 1e9));
        const [first = acknowledged] = rest;
        assert.ok(first <= acknowledged && first >= floor);
        assert.deepEqual(
          rest,
          Array.from({ length: written - first }, (_, n) => first + n),
        );
        queue.close();
      },
    ),
    { numRuns: 150 },
  );
});

test("a queue that runs empty again and again keeps to one small file", (t) => {
  const dir = folder(t);
  const queue = new DiskQueue(dir, { bytesMax: 1e9, segmentBytes: 100_000, onProblem: assert.fail });
  for (let round = 0; round < 100; round++) {
    put(queue, ...names(20));
    assert.equal(drain(queue).length, 20);
  }
  assert.deepEqual(segments(dir).length, 1);
  assert.ok(fs.statSync(join(dir, segments(dir)[0]!)).size < 5000);
  queue.close();
  assert.deepEqual(fs.readdirSync(dir), ["position.json"]);
});

test("what an earlier process wrote does not come back behind the first entry of the next one", (t) => {
  const dir = folder(t);
  const first = open(dir);
  put(first, "a", "b", "c");
  first.close();
  const second = open(dir);
  assert.deepEqual(drain(second), ["a", "b", "c"]);
  // As long as the others, so that it ends where one of them begins.
  put(second, "d");
  // As after a crash: nobody closed it.
  assert.deepEqual(drain(open(dir)), ["d"]);
});

test("a torn write over what is left of earlier entries brings none of them back", (t) => {
  const dir = folder(t);
  const queue = new DiskQueue(dir, { bytesMax: 1e9, segmentBytes: 100_000, onProblem: assert.fail });
  put(queue, ...names(20));
  drain(queue);
  put(queue, "new");
  const path = join(dir, segments(dir)[0]!);
  const whole = fs.readFileSync(path);
  const size = queue.bytes;
  for (let torn = 0; torn <= size; torn++) {
    // The first bytes of the new entry, then those of the first use.
    const again = folder(t);
    fs.cpSync(dir, again, { recursive: true });
    const bytes = Buffer.from(whole);
    bytes.fill(0xee, torn, size);
    fs.writeFileSync(join(again, segments(dir)[0]!), bytes);
    assert.deepEqual(drain(open(again)), torn === size ? ["new"] : []);
  }
});

test("a full queue that may drop drops its oldest records, whole segments of them, and counts each", (t) => {
  const dir = folder(t);
  const queue = open(dir, [], 1000);
  let dropped = 0;
  const append = (name: string) => {
    if (queue.isFull) dropped += queue.dropOldest();
    put(queue, name);
  };
  for (const name of names(200)) append(name);
  assert.ok(queue.bytes < 1500 && dropped > 100);
  assert.equal(queue.records, 200 - dropped);
  assert.deepEqual(drain(queue), names(200).slice(dropped));
  // What is being delivered is not dropped under the hands of the output.
  for (const name of names(10)) append(name);
  const taken = queue.next(1e9, 3);
  dropped = 0;
  for (const name of names(100)) append(name);
  queue.ack(taken);
  const rest = drain(queue);
  assert.equal(taken.length + rest.length + dropped, 110);
  assert.deepEqual(queue.records, 0);
});

test("after a sync that failed, none is taken for one that worked, whether the file goes on or another one begins", async (t) => {
  for (const [what, more] of [
    ["the same file", 0],
    ["another file", 20],
  ] as const) {
    await t.test(what, async (t) => {
      let isBroken = false;
      breakSyncs(t, () => isBroken);
      const problems: string[] = [];
      const queue = open(folder(t), problems);
      put(queue, "a");
      await queue.sync();
      assert.ok(queue.isDurable);
      isBroken = true;
      put(queue, ...names(more), "b");
      if (more === 0) await assert.rejects(queue.sync(), /cannot sync the queue .*EIO/);
      isBroken = false;
      put(queue, "c");
      await assert.rejects(queue.sync(), /What was written since the last sync is read again/);
      assert.ok(!queue.isDurable);
      assert.match(problems.join(), /EIO/);
      // Delivering goes on: what is there is not lost for that.
      assert.deepEqual(drain(queue), ["a", ...names(more), "b", "c"]);
      queue.close();
    });
  }
});
