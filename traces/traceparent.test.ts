import assert from "node:assert/strict";
import { test } from "node:test";
import { contextOf, isRecorded, parseTraceparent, traceIdOf, traceparentOf } from "./traceparent.ts";

const trace = "0af7651916cd43dd8448eb211c80319c";
const span = "b7ad6b7169203331";

test("parseTraceparent() takes what W3C Trace Context writes in version 00", () => {
  const recorded = parseTraceparent(`00-${trace}-${span}-01`);
  assert.ok(recorded);
  assert.deepEqual([traceIdOf(recorded), isRecorded(recorded)], [trace, true]);
  const other = parseTraceparent(`00-${trace}-${span}-02`);
  assert.equal(other && isRecorded(other), false, "only the lowest bit says that it is recorded");
});

const bad: readonly (readonly [string, string])[] = [
  ["nothing", ""],
  ["another version", `01-${trace}-${span}-01`],
  ["capitals", `00-${trace.toUpperCase()}-${span}-01`],
  ["a trace of zeros", `00-${"0".repeat(32)}-${span}-01`],
  ["a span of zeros", `00-${trace}-${"0".repeat(16)}-01`],
  ["more at its end", `00-${trace}-${span}-01-extra`],
  ["a line break at its end", `00-${trace}-${span}-0\n`],
  ["a megabyte", `00-${trace}-${span}-01`.repeat(20_000)],
];
for (const [what, text] of bad) {
  test(`parseTraceparent() takes no ${what}`, () => {
    assert.equal(parseTraceparent(text), undefined);
  });
}

test("contextOf() names the same span of a trace wherever it is asked, and another one for another key", () => {
  const here = traceparentOf(trace, span, true);
  const there = traceparentOf(trace, "00f067aa0ba902b7", true);
  assert.equal(contextOf(here, "wave 0"), contextOf(there, "wave 0"));
  assert.notEqual(contextOf(here, "wave 0"), contextOf(here, "wave 1"));
  assert.ok(parseTraceparent(contextOf(here, "wave 0")));
});
