import assert from "node:assert/strict";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { CheckpointFile } from "./checkpoint.ts";
import type { Mark } from "./mark.ts";

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
  const note = fs.readFileSync(`${file}.quick`, "utf8");
  fs.writeFileSync(`${file}.quick`, note.replace(/"bootId":"[^"]*"/, '"bootId":"another"'));
  assert.deepEqual(offsets(open(file)), [10]);
});

test("a torn quick note costs nothing but the note", async (t) => {
  const file = path(t);
  await open(file).save([mark(10)]);
  fs.writeFileSync(`${file}.quick`, '{"format":1,"boo');
  assert.deepEqual(offsets(open(file)), [10]);
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
