import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { JsonBytes } from "./bytes.ts";
import type { JsonDocument } from "./document.ts";
import { Symbols } from "./symbols.ts";
import { JsonTape } from "./tape.ts";
import { compact, indented, valueText } from "./text.ts";

/** Puts a text between others, as it lies in a file. */
function scan(doc: JsonBytes, text: string | Buffer): boolean {
  const before = Buffer.from('{"before":1}\n');
  const middle = Buffer.from(text);
  const all = Buffer.concat([before, middle, Buffer.from('\n"after"]}\n')]);
  return doc.scan(all, before.length, before.length + middle.length);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

test("JsonBytes takes exactly what is JSON, and never reads on into the next line", () => {
  const doc = new JsonBytes();
  const marks = '{}[],:"\\ -+.eE0123u\t\n\r'.split("");
  const words = [
    "true",
    "nul",
    "null",
    "false",
    '"a"',
    '"\\u00e',
    '"é"',
    '"\u0001"',
    '"\\x"',
    '{"a":1}',
    "1.5e3",
    "-",
  ];
  const text = fc
    .array(fc.constantFrom(...marks, ...words), { maxLength: 14 })
    .map((pieces) => pieces.join(""));
  const cut = fc
    .tuple(fc.json({ stringUnit: "binary" }), fc.nat())
    .map(([json, at]) => json.slice(0, at % (json.length + 1)));
  fc.assert(
    fc.property(fc.oneof(text, cut), (given) => {
      const written = given.toWellFormed();
      assert.equal(scan(doc, written), isJson(written), written);
    }),
    { numRuns: 10_000 },
  );
});

test("JsonBytes reads what JsonTape reads, for any JSON", () => {
  const bytes = new JsonBytes();
  const tape = new JsonTape();
  fc.assert(
    fc.property(fc.json({ stringUnit: "binary" }), fc.boolean(), (json, isPretty) => {
      const text = (isPretty ? JSON.stringify(JSON.parse(json), null, 2) : json).toWellFormed();
      assert.ok(scan(bytes, text));
      const root = tape.parse(text);
      assert.equal(compact(bytes, 0), compact(tape, root));
      assert.equal(indented(bytes, 0), indented(tape, root));
    }),
    { numRuns: 1000 },
  );
});

const key = fc.constantFrom(
  "kind",
  "verb",
  "user",
  "objectRef",
  "k",
  "",
  "\u00e9",
  "__proto__",
  "stage",
  "stale",
);
const pairs = fc.array(
  fc.tuple(key, fc.boolean(), fc.constantFrom('"get"', "200", "null", '"g\\u0065t"', '"é"', "[ 1 ]")),
  {
    maxLength: 12,
  },
);

test("members and symbols are found among repeated, escaped and similar keys, always the first of a name", () => {
  const bytes = new JsonBytes();
  const tape = new JsonTape();
  const symbols = new Symbols(["get", "200", "null", "é", "[1]", "nowhere"]);
  const look = (doc: JsonDocument, root: number, name: string): readonly unknown[] => {
    const node = doc.member(root, name);
    return node < 0 ? [] : [valueText(doc, node), doc.symbol(node, symbols), doc.isCompact(node)];
  };
  fc.assert(
    fc.property(pairs, key, (given, name) => {
      const members = given.map(([one, isEscaped, value]) => {
        const first = one.charCodeAt(0).toString(16).padStart(4, "0");
        return `"${isEscaped && one !== "" ? `\\u${first}${one.slice(1)}` : one}":${value}`;
      });
      const text = `{${members.join(",")}}`;
      assert.ok(scan(bytes, text));
      assert.deepEqual(look(bytes, 0, name), look(tape, tape.parse(text), name));
    }),
    { numRuns: 3000 },
  );
});

test("texts are found in short lists and in long ones of names that differ in few places, and nothing else is", () => {
  const digits = fc.string({ unit: fc.constantFrom("0", "1", "2"), maxLength: 5 });
  const names = fc.uniqueArray(
    digits.map((text) => `user-${text}-of-team-payments`),
    { maxLength: 200, size: "max" },
  );
  fc.assert(
    fc.property(names, digits, fc.string(), (texts, more, other) => {
      const symbols = new Symbols(texts);
      for (const text of [...texts, `user-${more}-of-team-payments`, "", other]) {
        const bytes = Buffer.from(text);
        if (bytes.length !== text.length) continue;
        assert.equal(symbols.find(bytes, 0, bytes.length), texts.indexOf(text));
      }
    }),
    { numRuns: 100 },
  );
});

test("bytes that are no UTF-8 read as everywhere else: U+FFFD", () => {
  const doc = new JsonBytes();
  fc.assert(
    fc.property(fc.uint8Array({ min: 0x20, maxLength: 40 }), (given) => {
      const inside = Buffer.from(given.filter((byte) => byte !== 0x22 && byte !== 0x5c));
      assert.ok(scan(doc, Buffer.concat([Buffer.from('"'), inside, Buffer.from('"')])));
      assert.equal(valueText(doc, 0), inside.toString());
    }),
    { numRuns: 3000 },
  );
});

test("JsonBytes takes no text that nests too deep for JsonTape, whose innermost value counts", () => {
  const doc = new JsonBytes();
  const nested = (depth: number, inside = ""): string => "[".repeat(depth) + inside + "]".repeat(depth);
  assert.ok(scan(doc, nested(299, "1")));
  // A text at the limit is left to the tape.
  assert.ok(!scan(doc, nested(300)));
  assert.ok(!scan(doc, nested(300, "1")));
  assert.ok(!scan(doc, "[".repeat(1_000_000)));
});
