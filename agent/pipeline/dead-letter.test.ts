import assert from "node:assert/strict";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { DeadLetter } from "./dead-letter.ts";
import { breakSyncs } from "./testing/failing-sync.ts";

test("what was set aside and could not be synced goes to another file, and only then counts as safe", async (t) => {
  const dir = fs.mkdtempSync(join(tmpdir(), "falconry-parked-"));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  let isBroken = false;
  breakSyncs(t, () => isBroken);
  const problems: string[] = [];
  const deadLetter = new DeadLetter(dir, {
    bytesMax: 1e9,
    onProblem: (message) => problems.push(message),
    onEvicted: () => assert.fail("nothing has to go"),
  });
  const park = (line: string) => deadLetter.park(Buffer.from(line), { reason: "test", tag: "audit" });
  park("a");
  await deadLetter.sync();
  park("b");
  isBroken = true;
  await assert.rejects(deadLetter.sync(), /EIO/);
  assert.ok(!deadLetter.isSettled, "positions must not move past it");
  isBroken = false;
  await deadLetter.sync();
  assert.ok(deadLetter.isSettled);
  deadLetter.close();
  const files = fs.readdirSync(dir).sort();
  const lines = files.map((name) =>
    fs
      .readFileSync(join(dir, name), "utf8")
      .trim()
      .split("\n")
      .map((text) => (JSON.parse(text) as { line: string }).line),
  );
  // The first file may or may not have kept its second line: nobody knows what a failed sync left.
  assert.deepEqual([lines.length, lines.at(-1)], [2, ["b"]]);
  assert.match(problems.join(), /Cannot sync the dead letter folder/);
});
