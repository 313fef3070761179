import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { renamed, replayLines } from "./replay.ts";
import type { GeneratedLine } from "./stream.ts";

function recorded(t: TestContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), "replay-"));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "recorded.log"), text);
  return join(folder, "recorded.log");
}

async function collect(lines: AsyncIterable<GeneratedLine>): Promise<readonly GeneratedLine[]> {
  const all: GeneratedLine[] = [];
  for await (const line of lines) all.push(line);
  return all;
}

const lines = [
  '{"kind":"Event","level":"Metadata","auditID":"a","stage":"ResponseStarted"}',
  '{"kind":"Event", "auditID": "b", "requestObject": {"auditID": "b"}}',
  "this is no JSON",
  '{"kind":"Event","level":"Metadata","auditID":"a","stage":"ResponseComplete"}',
];

test("replayLines() gives back what was recorded, byte for byte, and then ends", async (t) => {
  const file = recorded(t, `${lines.join("\n")}\n`);
  const seen = await collect(replayLines({ file, loop: false, seed: "1" }));
  assert.deepEqual(
    seen.map(({ line }) => line),
    lines,
  );
  assert.deepEqual(
    seen.map(({ auditId }) => auditId),
    ["a", "b", "", "a"],
  );
});

test("replayLines() gives each round fresh ids, and the lines of one request still share theirs", async (t) => {
  const file = recorded(t, lines.join("\n"));
  const seen: string[][] = [[], [], []];
  let at = 0;
  for await (const { auditId } of replayLines({ file, loop: true, seed: "1" })) {
    seen[Math.floor(at / lines.length)]?.push(auditId);
    at += 1;
    if (at === 12) break;
  }
  for (const [first, second, none, last] of seen) {
    assert.equal(first, last);
    assert.notEqual(first, second);
    assert.equal(none, "");
  }
  assert.equal(new Set(seen.flat()).size, 7, "three rounds of two ids, and the empty one");
});

test("renamed() changes the id of the event and not one byte more", () => {
  const [, spaced = ""] = lines;
  const { auditId, line } = renamed(spaced, "1/1");
  assert.match(auditId, /^[0-9a-f]{8}-[0-9a-f]{4}-4/);
  assert.equal(line, `{"kind":"Event", "auditID": "${auditId}", "requestObject": {"auditID": "b"}}`);
  // A client chose an id that also is the level.
  const tricky = renamed('{"level":"Metadata","auditID":"Metadata"}', "1/1");
  assert.equal(tricky.line, `{"level":"Metadata","auditID":"${tricky.auditId}"}`);
});

test("replayLines() says so when there is nothing to replay", async (t) => {
  const file = recorded(t, "\n");
  await assert.rejects(
    collect(replayLines({ file, loop: true, seed: "1" })),
    /Nothing to replay: .*recorded\.log/,
  );
});
