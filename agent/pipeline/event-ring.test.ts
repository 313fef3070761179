import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { createAuditRecordReader } from "#engine";
import { execve } from "../../engine/linux-audit/sample-records.ts";
import { EventRing } from "./event-ring.ts";
import type { RingEvent } from "./ring-block.ts";
import { openRing } from "./ring-reader.ts";

const always = { sinceMs: Number.NEGATIVE_INFINITY, untilMs: Number.POSITIVE_INFINITY };

function line(text: string, timeMs: number, shown?: string): RingEvent {
  const masked = shown === undefined ? {} : { shown: Buffer.from(shown) };
  return { kind: "line", timeMs, hidesValues: false, seen: Buffer.from(text), ...masked };
}

/** A folder of rings with one writer. */
function place(t: TestContext) {
  const folder = fs.mkdtempSync(join(tmpdir(), "falconry-ring-"));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  const dir = join(folder, "1");
  const problems: string[] = [];
  const open = (bytesMax: number) => {
    const ring = new EventRing(dir, (code) => problems.push(code));
    ring.use(bytesMax);
    t.after(() => ring.close());
    return ring;
  };
  const files = () =>
    fs
      .readdirSync(dir)
      .toSorted()
      .map((name) => join(dir, name));
  return { folder, dir, problems, open, files };
}

function textsIn(folder: string, span = always): string[] {
  return [...openRing(folder, span).blocks()].flatMap(({ events }) =>
    events.flatMap((event) => (event.kind === "line" ? [Buffer.from(event.seen).toString()] : [])),
  );
}

test("what rules saw is replayed as it was, masks and decoded calls too, and only that of the time asked for", async (t) => {
  const { folder, open } = place(t);
  const ring = open(1e6);
  const reader = createAuditRecordReader({});
  const events = execve({ serial: 1, words: ["id", "-u"] }).flatMap((one) => reader.read(one).events);
  events.push(...reader.flush().events);
  const given: RingEvent[] = [
    line("a", 10),
    line("secret", 20, "***"),
    { kind: "calls", timeMs: 30, hidesValues: true, events, isHidden: true },
  ];
  for (const event of given) ring.add(event);
  await ring.flush();
  ring.add(line("z", 40));
  await ring.flush();
  const all = openRing(folder, always);
  assert.deepEqual(
    [...all.blocks()].flatMap((part) => part.events),
    [...given, line("z", 40)],
  );
  assert.equal(all.oldestMs, 10);
  assert.equal(events.length, 1);
  assert.deepEqual(textsIn(folder, { sinceMs: 20, untilMs: 40 }), ["secret"]);
  assert.equal(ring.stats()?.oldestMs, 10);
});

test("the ring stays below its bound however much comes, and what goes is the oldest", async (t) => {
  const { folder, dir, open } = place(t);
  const bytesMax = 400_000;
  const ring = open(bytesMax);
  for (let i = 0; i < 300; i++) {
    ring.add(line(`${i} ${randomBytes(4000).toString("base64")}`, i));
    await ring.flush();
    const onDisk = fs.readdirSync(dir).reduce((sum, name) => sum + fs.statSync(join(dir, name)).size, 0);
    assert.ok(onDisk <= bytesMax, `${onDisk} bytes after event ${i}`);
  }
  const kept = textsIn(folder).map((text) => Number(text.split(" ")[0]));
  assert.ok(kept.length > 50, `only ${kept.length} events are left`);
  assert.deepEqual(
    kept,
    Array.from({ length: kept.length }, (_, i) => 300 - kept.length + i),
  );
  const { bytes, oldestMs, lost } = ring.stats() ?? {};
  assert.deepEqual([oldestMs, lost], [kept[0], 0]);
  await ring.close();
  assert.equal(open(bytesMax).stats()?.lost, 0);
  const smaller = open(bytesMax / 4);
  await smaller.flush();
  assert.ok((smaller.stats()?.bytes ?? 0) <= bytesMax / 4 && (bytes ?? 0) > bytesMax / 2);
});

test("wherever a kill tore the last block, those before it are there, and what comes after is found", async (t) => {
  const { folder, open, files } = place(t);
  const ring = open(1e6);
  for (const text of ["a", "b", "c"]) {
    ring.add(line(text, 1));
    await ring.flush();
  }
  await ring.close();
  const [path = ""] = files();
  const whole = fs.readFileSync(path);
  const blockBytes = whole.length / 3;
  for (let cut = 1; cut < blockBytes; cut += 7) {
    fs.writeFileSync(path, whole.subarray(0, whole.length - cut));
    assert.deepEqual(textsIn(folder), ["a", "b"], "a reader beside the writer stops there");
    const again = open(1e6);
    again.add(line("d", 1));
    await again.close();
    assert.deepEqual(textsIn(folder), ["a", "b", "d"], `${cut} bytes were missing`);
  }
});

test("a block that the disk damaged is said to be missing, and others are replayed", async (t) => {
  const { folder, open, files } = place(t);
  const ring = open(1e6);
  for (const text of ["a", "b"]) {
    ring.add(line(text, 1));
    ring.add(line(text, 1));
    await ring.flush();
  }
  const [path = ""] = files();
  const bytes = fs.readFileSync(path);
  bytes.writeUInt8(bytes.readUInt8(40) ^ 1, 40);
  fs.writeFileSync(path, bytes);
  const parts = [...openRing(folder, always).blocks()];
  assert.deepEqual(
    parts.map(({ events, missing }) => [events.length, missing]),
    [
      [0, 2],
      [2, 0],
    ],
  );
  const opened = openRing(folder, always);
  fs.rmSync(path);
  assert.deepEqual(
    [...opened.blocks()].map(({ missing }) => missing),
    [2, 2],
    "evicted meanwhile",
  );
});

test("a ring that cannot be written says so and counts what is lost, and keeps events again when it can", async (t) => {
  const { folder, dir, problems, open } = place(t);
  fs.writeFileSync(dir, "in the way");
  const ring = open(1e6);
  ring.add(line("a", 1));
  ring.add(line("b", 1));
  await ring.flush();
  const failing = ring.stats();
  assert.deepEqual([failing?.events, failing?.lost], [2, 2]);
  assert.match(failing?.lastError ?? "", /cannot keep them/);
  assert.ok(problems.includes("ring/failing"));
  fs.rmSync(dir);
  ring.add(line("c", 1));
  await ring.flush();
  assert.deepEqual([ring.stats()?.lost, ring.stats()?.lastError], [2, undefined]);
  assert.deepEqual(textsIn(folder), ["c"]);
  fs.rmSync(dir, { recursive: true });
  ring.add(line("d", 1));
  await ring.flush();
  ring.add(line("e", 1));
  await ring.flush();
  assert.deepEqual(textsIn(folder), ["e"], "removed by hand below a running agent");
});

test("switching the ring off removes what it kept", async (t) => {
  const { dir, open } = place(t);
  const ring = open(1e6);
  ring.add(line("a", 1));
  await ring.flush();
  assert.ok(fs.existsSync(dir));
  ring.add(line("b", 1));
  ring.use(undefined);
  ring.add(line("c", 1));
  await ring.flush();
  assert.deepEqual([fs.existsSync(dir), ring.stats()], [false, undefined]);
});
