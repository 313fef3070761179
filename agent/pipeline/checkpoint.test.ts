import assert from "node:assert/strict";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { CheckpointFile } from "./checkpoint.ts";
import type { Mark } from "./mark.ts";
import { QuickNote } from "./quick-note.ts";

function mark(offset: number): Mark {
  const fingerprint = { length: 0, sha256: "" };
  const place = { path: "/a", base: "/a", device: 1, inode: 2, identity: 2 };
  return { kind: "file", ...place, offset, ahead: [[offset + 5, offset + 9]], fingerprint, done: false };
}

function path(t: TestContext): string {
  const dir = fs.mkdtempSync(join(tmpdir(), "falconry-checkpoint-"));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  return join(dir, "checkpoint.json");
}

const open = (file: string, problems: string[] = []) => new CheckpointFile(file, (m) => problems.push(m));
const offsets = (file: CheckpointFile) =>
  file.load().map((found) => (found.kind === "path" ? undefined : found.offset));

test("after kill -9 the quick note counts, after a restart of the machine the synced checkpoint", async (t) => {
  const file = path(t);
  const first = open(file);
  await first.save([mark(10)]);
  first.note([mark(20)]);
  assert.deepEqual(offsets(open(file)), [20]);
  // As another start of the machine would have written it, checksum and all.
  const other = new QuickNote(`${file}.quick`);
  const [text = ""] = other.load(1e6);
  for (let slot = 0; slot < 2; slot++) {
    other.write(text.replace(/"bootId":"[^"]*"/, '"bootId":"another"'));
  }
  assert.deepEqual(offsets(open(file)), [10]);
});

test("a quick note that a kill cut anywhere costs nothing but that note, also over a longer one", async (t) => {
  const file = path(t);
  const first = open(file);
  await first.save([mark(10)]);
  first.note([mark(20), mark(20), mark(20)]);
  first.note([mark(30)]);
  const [before, last] = [fs.readFileSync(`${file}.quick-0`), fs.readFileSync(`${file}.quick-1`)];
  assert.deepEqual(offsets(open(file)), [30]);
  first.note([mark(40), mark(41)]);
  const whole = fs.readFileSync(`${file}.quick-0`);
  const size = whole.indexOf("}]}") + 3;
  assert.deepEqual(offsets(open(file)), [40, 41]);
  for (let cut = 0; cut < size; cut++) {
    // The first bytes are those of the new note, the others still those of the one before.
    fs.writeFileSync(`${file}.quick-0`, Buffer.concat([whole.subarray(0, cut), before.subarray(cut)]));
    const found = offsets(open(file));
    assert.deepEqual(found, [30], `cut at ${cut}`);
  }
  fs.writeFileSync(`${file}.quick-0`, whole.subarray(0, 9));
  fs.writeFileSync(`${file}.quick-1`, last.subarray(0, 30));
  assert.deepEqual(offsets(open(file)), [10], "with no whole note the checkpoint counts");
});

test("a process that goes on after a kill does not write over the only whole note", async (t) => {
  const file = path(t);
  const first = open(file);
  first.note([mark(20)]);
  first.note([mark(30)]);
  const second = open(file);
  second.load();
  const newest = fs.readFileSync(`${file}.quick-1`, "utf8");
  second.note([mark(40)]);
  assert.equal(fs.readFileSync(`${file}.quick-1`, "utf8"), newest);
  assert.deepEqual(offsets(open(file)), [40]);
  second.forgetNotes();
  assert.deepEqual(offsets(open(file)), []);
});

test("a damaged checkpoint is kept for people, reported, and makes everything be read again", (t) => {
  const file = path(t);
  fs.writeFileSync(file, '{"format":1,"marks":[{"path":"/a"}]}');
  const problems: string[] = [];
  const checkpoints = open(file, problems);
  assert.deepEqual(offsets(checkpoints), []);
  assert.ok(checkpoints.isDamaged && fs.existsSync(`${file}.damaged`));
  assert.match(problems.join(), /is damaged/);
});
