import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import nodeFs, * as fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import * as fc from "fast-check";
import { Spool } from "./spool.ts";

function folder(t: TestContext): string {
  const dir = fs.mkdtempSync(join(tmpdir(), "falconry-spool-"));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  return dir;
}

function open(dir: string, problems: string[] = [], bytesMax = 1e9): Spool {
  return new Spool(dir, { bytesMax, segmentBytes: 200, onProblem: (message) => problems.push(message) });
}

/** What can be read from an offset on, and where each record stands. */
function readAll(spool: Spool, from = 0): { text: string; offset: number }[] {
  const found: { text: string; offset: number }[] = [];
  for (let entry = spool.read(from); entry !== undefined; entry = spool.read(entry.next)) {
    found.push({ text: entry.lines.toString().trimEnd(), offset: entry.offset });
  }
  return found;
}

const texts = (spool: Spool, from = 0): string[] => readAll(spool, from).map(({ text }) => text);
const names = (prefix: string, count: number) => Array.from({ length: count }, (_, n) => `${prefix} ${n}`);
const put = async (spool: Spool, ...lines: string[]): Promise<void> => {
  for (const line of lines) await spool.append([Buffer.from(`${line}\n`)]);
};
const files = (dir: string) => fs.readdirSync(dir).filter((name) => name.endsWith(".spool"));

test("a spool gives back what it was given, in order, over segments and restarts, and no offset ever twice", async (t) => {
  const dir = folder(t);
  const first = open(dir);
  await put(first, ...names("a", 100));
  assert.ok(files(dir).length > 3);
  await first.close();
  const second = open(dir);
  await put(second, ...names("b", 10));
  assert.deepEqual(texts(second), [...names("a", 100), ...names("b", 10)]);
  const { end } = second;
  second.drop(second.end);
  assert.equal(files(dir).length, 1);
  assert.equal(second.bytes, 0);
  await second.close();
  const third = open(dir);
  assert.equal(third.id, first.id);
  await put(third, ...names("c", 10));
  const last = readAll(third, end);
  assert.deepEqual(
    last.map(({ text }) => text),
    names("c", 10),
  );
  assert.ok(last.every(({ offset }) => offset > end));
  await third.close();
});

test("whatever a crash tears off the end, everything that was acknowledged is there", async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 60 }),
      fc.uint8Array({ maxLength: 40 }),
      async (cut, garbage) => {
        const dir = folder(t);
        const spool = open(dir);
        await put(spool, "a", "b");
        // What is written of an entry whose append did not resolve yet.
        const path = join(dir, files(dir).at(-1)!);
        const durable = fs.readFileSync(path);
        await put(spool, "not acknowledged ".repeat(3));
        const torn = fs.readFileSync(path).subarray(durable.length);
        const end = Buffer.concat([torn.subarray(0, Math.min(cut, torn.length - 1)), garbage]);
        fs.writeFileSync(path, Buffer.concat([durable, end]));
        const again = open(dir);
        await put(again, "c");
        // Garbage may be just what was torn off: then the entry is there, and may be sent.
        const whole = end.subarray(0, torn.length).equals(torn);
        const unacknowledged = whole ? ["not acknowledged ".repeat(3).trimEnd()] : [];
        assert.deepEqual(texts(again), ["a", "b", ...unacknowledged, "c"]);
        await again.close();
        await spool.close();
      },
    ),
    { numRuns: 40, examples: [[59, Uint8Array.from([10])]] },
  );
});

test("requests that wait at the same time share their syncs", async (t) => {
  const spool = new Spool(folder(t), { bytesMax: 1e9, segmentBytes: 1e9, onProblem: assert.fail });
  const real = nodeFs.fdatasync;
  let syncs = 0;
  nodeFs.fdatasync = ((fd: number, done: (error: NodeJS.ErrnoException | null) => void) => {
    syncs++;
    real(fd, done);
  }) as typeof real;
  syncBuiltinESMExports();
  t.after(() => {
    nodeFs.fdatasync = real;
    syncBuiltinESMExports();
  });
  await Promise.all(names("n", 500).map((name) => spool.append([Buffer.from(`${name}\n`)])));
  assert.deepEqual(texts(spool), names("n", 500));
  assert.ok(syncs >= 1 && syncs <= 3, `${syncs} syncs`);
  await spool.close();
});

test("nothing that is not synced yet can be read, so that nothing is delivered that its client sends again", async (t) => {
  const spool = open(folder(t));
  const appended = spool.append([Buffer.from("a\n")]);
  assert.equal(spool.read(0), undefined);
  await appended;
  assert.deepEqual(texts(spool), ["a"]);
  await spool.close();
});

test("damage in the middle is reported and kept for people; what comes before and after is read", async (t) => {
  const dir = folder(t);
  const spool = open(dir);
  await put(spool, ...names("n", 100));
  await spool.close();
  const path = join(dir, files(dir).sort()[1]!);
  const bytes = fs.readFileSync(path);
  bytes[12] = (bytes[12] ?? 0) ^ 0xff;
  fs.writeFileSync(path, bytes);
  const problems: string[] = [];
  const again = open(dir, problems);
  const found = texts(again);
  assert.ok(found.includes("n 0") && found.includes("n 99") && found.length < 100);
  assert.match(
    problems.join(),
    /is damaged at byte 0 \(its checksum is wrong\): \d+ bytes are not delivered/,
  );
  assert.ok(fs.existsSync(`${path}.damaged`));
  // The one that is written to, too.
  const last = join(dir, files(dir).sort().at(-1)!);
  fs.writeFileSync(last, Buffer.alloc(fs.statSync(last).size, 1));
  assert.ok(!texts(again).includes("n 99"));
  await put(again, "after");
  assert.ok(texts(again).includes("after"));
  await again.close();
  assert.ok(texts(open(dir)).includes("after"));
});

test("a spool says when it is full, and has room again when what was read is dropped", async (t) => {
  const spool = open(folder(t), [], 60);
  await put(spool, "a".repeat(30), "b".repeat(30));
  assert.ok(spool.isFull);
  spool.drop(spool.read(0)?.next ?? 0);
  assert.ok(!spool.isFull);
  await spool.close();
});

test("an append that cannot be written is refused, leaves nothing behind, and stops none after it", () => {
  const driver = join(import.meta.dirname, "testing", "full-spool.ts");
  // The signal for a file that is too large would kill the process before the write can fail.
  const limited = `trap '' XFSZ; ulimit -f 20; exec "$0" "$1"`;
  const run = spawnSync("sh", ["-c", limited, process.execPath, driver], { encoding: "utf8" });
  assert.equal(run.status, 0, run.stderr);
  const said = JSON.parse(run.stdout) as Record<string, unknown>;
  assert.match(String(said["refused"]), /the spool .* cannot be written: EFBIG/);
  assert.deepEqual(said["read"], ["first", "last"]);
  assert.deepEqual(said["readAgain"], ["first", "last"]);
});
