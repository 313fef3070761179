import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { JsonProblem, JsonTape, jsonDepthMax } from "./tape.ts";
import { compact, indented, valueText } from "./text.ts";

test("JsonTape keeps every JSON value as it is", () => {
  const tape = new JsonTape();
  fc.assert(
    fc.property(fc.json({ stringUnit: "binary" }), fc.boolean(), (json, isPretty) => {
      const text = isPretty ? JSON.stringify(JSON.parse(json), null, 3) : json;
      const root = tape.parse(text);
      assert.equal(compact(tape, root), JSON.stringify(JSON.parse(text)));
      assert.deepEqual(JSON.parse(indented(tape, root)), JSON.parse(text));
    }),
    { numRuns: 1000 },
  );
});

test("JsonTape accepts and refuses the same texts as JSON.parse", () => {
  const tape = new JsonTape();
  const piece = fc.constantFrom(
    ...'{}[],:"\\ -+.eE0123u'.split(""),
    "true",
    "null",
    '"a"',
    '{"a":1}',
    "1.5e3",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
      const text = pieces.join("");
      // An unknown escape is kept as it is written, where JSON.parse would refuse the whole record.
      if (/\\[^"\\/bfnrt]/.test(text)) return;
      assert.equal(accepts(tape, text), isJson(text), text);
    }),
    { numRuns: 5000 },
  );
});

function accepts(tape: JsonTape, text: string): boolean {
  try {
    tape.parse(text);
    return true;
  } catch (error) {
    assert.ok(error instanceof JsonProblem);
    return false;
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

test("JsonTape takes the first of repeated keys and sees through escaped ones", () => {
  const tape = new JsonTape();
  const root = tape.parse('{"a":1,"a":2,"\\u0062":"\\ud83d\\ude00\\n","__proto__":3}');
  assert.equal(valueText(tape, tape.member(root, "a")), "1");
  assert.equal(valueText(tape, tape.member(root, "b")), "😀\n");
  assert.equal(valueText(tape, tape.member(root, "__proto__")), "3");
  assert.equal(tape.member(root, "constructor"), -1);
});

test("JsonTape keeps the spelling of numbers that JavaScript could not hold", () => {
  const tape = new JsonTape();
  const root = tape.parse('{"a": [ 12345678901234567890, 1.0 ]}');
  assert.equal(valueText(tape, tape.member(root, "a")), "[12345678901234567890,1.0]");
});

test("JsonTape refuses to nest deeper than its limit", () => {
  const tape = new JsonTape();
  const nested = (depth: number, inside = ""): string => "[".repeat(depth) + inside + "]".repeat(depth);
  assert.ok(accepts(tape, nested(jsonDepthMax)));
  assert.ok(accepts(tape, nested(jsonDepthMax - 1, "1")));
  assert.ok(!accepts(tape, nested(jsonDepthMax, "1")));
  assert.ok(!accepts(tape, nested(jsonDepthMax + 1)));
  assert.ok(!accepts(tape, "[".repeat(1_000_000)));
});

test("texts end at a NUL, as in Falco, whether it is escaped or not", () => {
  const tape = new JsonTape();
  assert.equal(valueText(tape, tape.parse('"a\\u0000b"')), "a");
  const root = tape.parse('["a\u0000b","c"]');
  assert.equal(valueText(tape, tape.element(root, 0)), "a");
  assert.equal(valueText(tape, tape.element(root, 1)), "c");
});

test("half a pair of \\u escapes is kept as it is written, and two that are no pair are U+FFFD", () => {
  const tape = new JsonTape();
  const read = (inside: string): string => valueText(tape, tape.parse(`"${inside}"`));
  assert.equal(read("a\\ud83d\\ude00b"), "a\u{1f600}b");
  assert.equal(read("\\ud83db"), "\\ud83db");
  assert.equal(read("\\ud83d\\n"), "\\ud83d\n");
  assert.equal(read("\\ude00"), "\\ude00");
  assert.equal(read("\\ud83d\\u0041b"), "\ufffdb");
});

test("isCompact() knows whether a blank stands between tokens", () => {
  const tape = new JsonTape();
  fc.assert(
    fc.property(fc.json({ stringUnit: "binary" }), fc.nat(), (json, seed) => {
      const root = tape.parse(json);
      const tokens = JSON.stringify(JSON.parse(json)) === json || compact(tape, root) === json;
      assert.ok(tokens && tape.isCompact(root), json);
      // A blank is put after one of the marks between tokens, if there is any.
      const marks = [...json.matchAll(/[[{,:](?=(?:[^"\\]|\\.|"(?:[^"\\]|\\.)*")*$)/g)];
      const mark = marks[seed % Math.max(1, marks.length)];
      if (mark === undefined) return;
      const wide = `${json.slice(0, mark.index + 1)} ${json.slice(mark.index + 1)}`;
      try {
        JSON.parse(wide);
      } catch {
        return;
      }
      if (JSON.stringify(JSON.parse(wide)) !== JSON.stringify(JSON.parse(json))) return;
      assert.equal(tape.isCompact(tape.parse(wide)), false, wide);
    }),
    { numRuns: 1000 },
  );
});
