import assert from "node:assert/strict";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { fillDisk, mayMount, mountSmallDisk, unmount } from "../../test/support/small-disk.ts";
import { CheckpointFile } from "./checkpoint.ts";
import { DeadLetter } from "./dead-letter.ts";
import { DiskQueue } from "./disk-queue.ts";
import { Spool } from "./spool.ts";

const skip = mayMount ? false : "only root may mount a small disk";
const line = `${"x".repeat(4000)}\n`;

function smallDisk(t: TestContext): string {
  const dir = fs.mkdtempSync(join(tmpdir(), "falconry-small-"));
  mountSmallDisk(dir, "1m");
  t.after(() => {
    unmount(dir);
    fs.rmSync(dir, { recursive: true });
  });
  return dir;
}

function open(dir: string, problems: string[] = []): DiskQueue {
  const onProblem = (code: string, message: string) => problems.push(`${code}: ${message}`);
  return new DiskQueue(join(dir, "queue"), { bytesMax: 1e9, segmentBytes: 1e8, onProblem });
}

const put = (queue: DiskQueue) =>
  queue.append({ tag: "audit", count: 1, oldestMs: 1, body: [Buffer.from(line)] });

/** Appends until it is refused, and gives how often it worked and why it did not any more. */
function fill(queue: DiskQueue): { readonly count: number; readonly why: string } {
  for (let count = 0; ; count++) {
    try {
      put(queue);
    } catch (error) {
      return { count, why: (error as Error).message };
    }
  }
}

function drain(queue: DiskQueue): number {
  let count = 0;
  for (let entries = queue.next(1e5, 5); entries.length > 0; entries = queue.next(1e5, 5)) {
    count += entries.length;
    queue.ack(entries);
  }
  return count;
}

test(
  "a backlog that fills its disk is delivered all the same, and leaves room for what that needs",
  { skip },
  async (t) => {
    const dir = smallDisk(t);
    const queue = open(dir);
    const { count, why } = fill(queue);
    assert.match(
      why,
      /bytes left, of which \d+ are kept for positions and for what is set aside, and \d+ are needed$/,
    );
    // A record that was refused, and where reading goes on.
    const said: string[] = [];
    const deadLetter = new DeadLetter(join(dir, "dead-letter"), {
      bytesMax: 1e9,
      onProblem: (message) => said.push(message),
      onEvicted: () => {},
    });
    deadLetter.park(Buffer.from(line), { reason: "refused", tag: "audit" });
    await deadLetter.sync();
    await new CheckpointFile(join(dir, "checkpoint.json"), (message) => said.push(message)).save([]);
    assert.deepEqual(said, []);
    assert.equal(drain(queue), count);
    assert.ok(fill(queue).count > count / 2);
  },
);

test(
  "a disk that others fill to the last byte keeps no queue from being delivered, nor its files from being removed",
  { skip },
  (t) => {
    const dir = smallDisk(t);
    const problems: string[] = [];
    const queue = open(dir, problems);
    for (let n = 0; n < 100; n++) put(queue);
    const makeRoom = fillDisk(dir);
    assert.equal(drain(queue), 100);
    assert.match(problems.join("\n"), /^queue: how far it was delivered cannot be noted, .*: ENOSPC/);
    put(queue);
    const { bavail, bsize } = fs.statfsSync(dir);
    assert.ok(bavail * bsize > 50 * line.length, `${bavail * bsize} bytes are free`);
    makeRoom();
    // No close: as after kill -9. What was delivered does not come again.
    assert.equal(drain(open(dir)), 1);
  },
);

test(
  "a spool leaves room for the checkpoint, without which nothing can be taken out of it",
  { skip },
  async (t) => {
    const dir = smallDisk(t);
    const spool = new Spool(join(dir, "spool"), {
      bytesMax: 1e9,
      segmentBytes: 100_000,
      onProblem: () => {},
    });
    t.after(() => spool.close());
    const fillSpool = async (): Promise<Error> => {
      for (;;) {
        try {
          await spool.append([Buffer.from(line)]);
        } catch (error) {
          return error as Error;
        }
      }
    };
    assert.match((await fillSpool()).message, /cannot be written: the disk of .* are kept for positions/);
    await new CheckpointFile(join(dir, "checkpoint.json"), assert.fail).save([]);
    spool.drop(spool.end);
    await spool.append([Buffer.from(line)]);
  },
);
