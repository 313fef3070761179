import assert from "node:assert/strict";
import { test } from "node:test";
import { OutFileFormat } from "./out-file-format.ts";

test("out_file writes tag, time with nanoseconds and record as Fluent Bit does, one a line", () => {
  const record = '{"stageTimestamp":"2026-11-23T09:41:20.026123Z"}';
  const lines = new OutFileFormat().lines("audit", [Buffer.from(`${record}\n{"n":1}\n`)], 1_700_000_000_250);
  // date -u -d 2026-11-23T09:41:20 +%s
  assert.equal(
    lines.toString(),
    `audit: [1795426880.026123000, ${record}]\naudit: [1700000000.250000000, {"n":1}]\n`,
  );
});

test("a tag with a line break in it cannot write lines of its own", () => {
  const lines = new OutFileFormat().lines("a\nb", [Buffer.from('{"n":1}\n')], 0);
  assert.equal(lines.toString(), 'a b: [0.000000000, {"n":1}]\n');
});
