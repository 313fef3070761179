import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { TailWorld } from "./testing/tail-world.ts";

/** JSON lines with numbers, and the numbers. */
function lines(from: number, to: number): string {
  return numbers(from, to)
    .map((n) => `${JSON.stringify({ n, pad: "x".repeat(n % 50) })}\n`)
    .join("");
}

function numbers(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

const json = (w: TailWorld, name = "a.log", more = "") =>
  ` Path ${w.path(name)}\n Parser json\n Refresh_Interval 1\n${more}`;

test("files that rotate and are deleted while reading waits for an output are read when it goes on", (t) => {
  const w = new TailWorld(t);
  w.append("a.log", lines(0, 100));
  w.start(json(w));
  w.turn();
  for (let round = 1; round < 10; round++) {
    w.append("a.log", lines(round * 100, round * 100 + 100));
    w.wait(100);
    w.rename("a.log", "a.log.1");
    w.append("a.log", "");
    w.wait(100);
    fs.rmSync(w.path("a.log.1"));
    // Longer than rotate_wait, over and over.
    w.wait(60_000);
  }
  w.drain();
  assert.deepEqual(w.values("n"), numbers(0, 1000));
  assert.equal(w.counters.lost, 0);
});

test("a copy that copytruncate made while reading waited, and that is gone when it goes on, is read", (t) => {
  const w = new TailWorld(t);
  w.append("a.log", lines(0, 10));
  w.start(json(w));
  w.drain();
  w.append("a.log", lines(10, 20));
  fs.copyFileSync(w.path("a.log"), w.path("a.log.1"));
  fs.truncateSync(w.path("a.log"));
  w.wait(1000);
  fs.rmSync(w.path("a.log.1"));
  w.append("a.log", lines(20, 30));
  w.wait(60_000);
  w.drain();
  assert.deepEqual(w.values("n"), numbers(0, 30));
  assert.deepEqual([w.counters.truncations, w.counters.lost], [0, 0]);
});

test("what was cut off a file without a copy is counted, and told by name", (t) => {
  const w = new TailWorld(t);
  w.append("a.log", lines(0, 10));
  w.start(json(w));
  w.drain();
  fs.truncateSync(w.path("a.log"));
  w.append("a.log", lines(10, 12));
  w.drain();
  assert.deepEqual(w.values("n"), numbers(0, 12));
  assert.equal(w.counters.truncations, 1);
  assert.match(w.problems.join(), /tail\/truncated .*a\.log was truncated after byte \d+/);
});

for (const [kind, pack] of [
  ["gz", gzipSync],
  ["zst", zstdCompressSync],
] as const) {
  test(`a file that was rotated and compressed to .${kind} while the agent was down is read on, once, in order`, async (t) => {
    const w = new TailWorld(t);
    w.append("a.log", lines(0, 500));
    w.start(`${json(w)} Buffer_Chunk_Size 64k\n`);
    w.drain();
    w.stop();
    w.append("a.log", lines(500, 5000));
    fs.writeFileSync(w.path(`a.log.2.${kind}`), pack(fs.readFileSync(w.path("a.log"))));
    fs.rmSync(w.path("a.log"));
    // Written, rotated and compressed without the agent ever having seen it.
    fs.writeFileSync(w.path(`a.log.1.${kind}`), pack(lines(5000, 6000)));
    w.append("a.log", lines(6000, 7000));
    const old = new Date(Date.now() - 100_000);
    fs.utimesSync(w.path(`a.log.2.${kind}`), old, old);
    w.restart();
    await w.until("all records", () => w.records.length >= 7000);
    w.restart();
    w.drain();
    assert.deepEqual(w.values("n"), numbers(0, 7000));
    assert.equal(w.counters.lost, 0);
    assert.match(w.problems.join(), /tail\/unpacked .*a\.log\.2\.\w+ was compressed before it was read/);
  });
}

test("unpacking that a crash interrupts goes on where reading stopped", async (t) => {
  const w = new TailWorld(t);
  w.append("a.log", lines(0, 10));
  w.start(`${json(w)} Buffer_Chunk_Size 64k\n`);
  w.drain();
  w.stop();
  w.append("a.log", lines(10, 20_000));
  fs.writeFileSync(w.path("a.log.1.gz"), gzipSync(fs.readFileSync(w.path("a.log"))));
  fs.rmSync(w.path("a.log"));
  w.append("a.log", lines(20_000, 20_010));
  w.restart();
  await w.until("some of it", () => w.records.length > 1000);
  assert.ok(w.records.length < 20_000);
  w.restart();
  await w.until("the rest", () => w.records.length >= 20_010);
  assert.deepEqual(w.values("n"), numbers(0, 20_010));
});

test("compressed files from before the first start, and those that were read already, are left alone", async (t) => {
  const w = new TailWorld(t);
  fs.writeFileSync(w.path("a.log.1.gz"), gzipSync(lines(900, 910)));
  w.append("a.log", lines(0, 10));
  w.start(json(w));
  w.drain();
  w.rename("a.log", "a.log.2");
  w.append("a.log", lines(10, 20));
  w.drain();
  // Compressed while the agent runs, and in the open: for a while both are there.
  fs.writeFileSync(w.path("a.log.2.gz"), gzipSync(fs.readFileSync(w.path("a.log.2"))).subarray(0, 20));
  w.wait(2000);
  fs.writeFileSync(w.path("a.log.2.gz"), gzipSync(fs.readFileSync(w.path("a.log.2"))));
  w.wait(2000);
  fs.rmSync(w.path("a.log.2"));
  w.wait(2000);
  w.restart();
  w.append("a.log", lines(20, 21));
  await w.until("the last record", () => w.values("n").includes(20));
  assert.deepEqual(w.values("n"), numbers(0, 21));
  assert.doesNotMatch(w.problems.join(), /gz/);
});

test("a compressed file that is damaged is a loss, counted and told by name", async (t) => {
  const w = new TailWorld(t);
  w.append("a.log", lines(0, 10));
  w.start(json(w));
  w.drain();
  w.stop();
  w.append("a.log", lines(10, 20_000));
  const packed = gzipSync(fs.readFileSync(w.path("a.log")));
  fs.writeFileSync(w.path("a.log.1.gz"), packed.subarray(0, packed.length - 3000));
  fs.rmSync(w.path("a.log"));
  const old = new Date(Date.now() - 100_000);
  fs.utimesSync(w.path("a.log.1.gz"), old, old);
  w.append("a.log", lines(90_000, 90_001));
  w.restart();
  await w.until("what came after it", () => w.values("n").includes(90_000));
  assert.equal(w.counters.lost, 1, w.problems.join());
  assert.match(
    w.problems.join(),
    /tail\/gone .*a\.log\.1\.gz was compressed before it was read after byte \d+, and cannot be unpacked/,
  );
});

test("a file that went away into a format that cannot be read here is a loss that names where it may be", (t) => {
  const w = new TailWorld(t);
  w.append("a.log", lines(0, 10));
  w.start(json(w));
  w.drain();
  w.stop();
  w.append("a.log", lines(10, 20));
  w.rename("a.log", "a.log.1.xz");
  fs.truncateSync(w.path("a.log.1.xz"), 3);
  w.append("a.log", lines(20, 30));
  // Another file, as xz makes one.
  fs.copyFileSync(w.path("a.log.1.xz"), w.path("b"));
  w.rename("b", "a.log.1.xz");
  w.restart();
  w.drain();
  assert.equal(w.counters.lost, 1);
  assert.match(w.problems.join(), /tail\/gone .*a\.log was removed .*it may be in .*a\.log\.1\.xz/);
  assert.deepEqual(w.values("n"), [...numbers(0, 10), ...numbers(20, 30)]);
});

test("two hundred files that rotate at once lose nothing, keep their order, and wait for none of the others", (t) => {
  const w = new TailWorld(t);
  const names = numbers(0, 200).map((n) => `f${n}.log`);
  const line = (name: string, n: number) => `${JSON.stringify({ name, n })}\n`;
  for (const name of names) w.append(name, line(name, 0));
  w.start(json(w, "*.log"));
  w.turn();
  for (let round = 1; round < 6; round++) {
    for (const name of names) {
      w.append(name, line(name, 3 * round - 2));
      w.rename(name, `${name}.${10 - round}`);
      w.append(name, line(name, 3 * round - 1) + line(name, 3 * round));
    }
    if (round % 2 === 0) w.turn();
    if (round === 4) w.restart();
  }
  w.drain();
  const byName = Map.groupBy(w.records, ({ value }) => String(value["name"]));
  assert.equal(byName.size, 200);
  for (const [name, records] of byName) {
    assert.deepEqual(
      records.map(({ value }) => value["n"]),
      numbers(0, 16),
      name,
    );
  }
});

test("a file with a long backlog does not keep others waiting", (t) => {
  const w = new TailWorld(t);
  w.append("a.log", lines(0, 20_000));
  w.append("b.log", lines(90_000, 90_001));
  w.start(`${json(w, "*.log")} Buffer_Chunk_Size 64k\n`);
  w.turn();
  w.turn();
  assert.ok(w.values("n").includes(90_000));
  assert.ok(w.records.length < 20_000);
});

test("a file that a glob would have named, and that was created and rotated before anybody looked, is read", async (t) => {
  const w = new TailWorld(t);
  w.append("old.log.1", lines(900, 910));
  w.start(json(w, "*.log"));
  w.drain();
  w.append("a.log", lines(0, 10));
  w.rename("a.log", "a.log.1");
  w.append("b.log", lines(10, 20));
  fs.writeFileSync(w.path("b.log.1.gz"), gzipSync(fs.readFileSync(w.path("b.log"))));
  fs.rmSync(w.path("b.log"));
  w.append("c.txt.1", lines(800, 810));
  w.wait(2000);
  await w.until("the compressed one", () => w.values("n").length >= 20);
  w.rename("a.log.1", "a.log.2");
  w.append("a.log", lines(20, 30));
  w.wait(2000);
  w.drain();
  w.restart();
  w.drain();
  // Neither what was rotated before the first start, nor what rotation of another name gave.
  assert.deepEqual(new Set(w.values("n")), new Set(numbers(0, 30)));
  assert.equal(w.values("n").length, 30);
});
