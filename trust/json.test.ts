import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import { codeOf } from "./fixture.ts";
import {
  canonicalJson,
  isObject,
  isWholeNumber,
  memberOf,
  readJson,
  showJson,
  signedForm,
  unknownKeys,
  type Json,
} from "./json.ts";

const read = (text: string, depthMax = 8) =>
  readJson(Buffer.from(text), { what: "the thing", bytesMax: 200, depthMax });
const messageOf = (result: ReturnType<typeof read>) => (result.ok ? "accepted" : result.refusal.message);

test("a document of exactly the size allowed is read; one byte more, and nobody even looks at it", () => {
  const text = `"${"x".repeat(198)}"`;
  assert.equal(codeOf(read(text)), "accepted");
  assert.equal(codeOf(read(`${text} `)), "trust/too-large");
  assert.equal(codeOf(read("[".repeat(201))), "trust/too-large");
});

const nested: readonly [string, number][] = [
  ["1", 0],
  ['"[[[["', 0],
  ["[]", 1],
  ["{}", 1],
  ['["\\"[[[["]', 1],
  ['["\\\\\\"[[", "]"]', 1],
  ['{"[":"{","]":"}"}', 1],
  ['["a", "[[", 1]', 1],
  ["[[],[],[],[]]", 2],
  ["[{},{},{},{}]", 2],
  ['{"a":[],"b":[],"c":{},"d":{}}', 2],
  ["[[[]]]", 3],
  ["[1,[2,[3]]]", 3],
  ['{"a":{"b":{}}}', 3],
  ['["\\\\",[[1]]]', 3],
  ['["]",[[1]]]', 3],
  ['[{"a":[]}]', 3],
];
for (const [text, depth] of nested) {
  test(`${text} is read where ${depth} levels are allowed, and refused as too deep where fewer are`, () => {
    assert.equal(codeOf(read(text, depth)), "accepted");
    assert.match(messageOf(read(text, depth - 1)), /nested deeper than/);
  });
}

test("whatever a document holds, its depth is that of its lists and objects", () => {
  const text = fc.string({ unit: fc.constantFrom('"', "\\", "[", "]", "{", "}", "x"), maxLength: 4 });
  const { value } = fc.letrec<{ value: Json }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      text,
      fc.integer(),
      fc.array(tie("value"), { maxLength: 3 }),
      fc.dictionary(text, tie("value"), { maxKeys: 3 }),
    ),
  }));
  const depthOf = (json: Json): number =>
    typeof json === "object" && json !== null ? 1 + Math.max(0, ...Object.values(json).map(depthOf)) : 0;
  fc.assert(
    fc.property(value, fc.nat(5), (json, depthMax) => {
      const bytes = Buffer.from(JSON.stringify(json));
      const result = readJson(bytes, { what: "x", bytesMax: bytes.length, depthMax });
      return result.ok === depthOf(json) <= depthMax;
    }),
  );
});

test("brackets that never close are counted without being parsed, and a text that breaks off is no JSON", () => {
  assert.match(messageOf(read("[[[[", 3)), /nested deeper than 3 levels/);
  for (const text of ["", "{", '{"a":1', '"\\', '"a', "nul", "[1,]", "{'a':1}", "1 2"]) {
    assert.match(messageOf(read(text)), /the thing is not JSON in UTF-8/, text);
  }
});

test("bytes that are no UTF-8, or that begin with a mark of their order, are refused", () => {
  assert.match(messageOf(read('\ufeff{"a":1}')), /is not JSON in UTF-8/);
  const latin = Buffer.from([0x22, 0xe9, 0x22]);
  assert.equal(codeOf(readJson(latin, { what: "the thing", bytesMax: 9, depthMax: 1 })), "trust/malformed");
});

test('a "__proto__" is refused wherever it is a key, and nowhere else', () => {
  for (const text of [
    '{"__proto__":1}',
    '{"a":1,"__proto__":null}',
    '[1,{"a":{"__proto__":{}}}]',
    '{"a":[[{"\\u005f_proto__":1}]],"b":2}',
  ]) {
    assert.match(messageOf(read(text)), /has a key "__proto__"/, text);
  }
  for (const text of ['"__proto__"', '["__proto__",null]', '{"a":"__proto__","b":null,"constructor":1}']) {
    assert.equal(messageOf(read(text)), "accepted", text);
  }
});

test("only what has members is an object, and only its own members count", () => {
  for (const value of [null, undefined, "text", 1, true, [], [1]]) assert.equal(isObject(value), false);
  assert.equal(isObject({}), true);
  assert.equal(memberOf({ a: 1 }, "a"), 1);
  assert.equal(memberOf({ a: 1 }, "b"), undefined);
  assert.equal(memberOf({}, "constructor"), undefined, "every object inherits that");
  for (const value of [null, undefined, "text", [1]]) assert.equal(memberOf(value, "length"), undefined);
  assert.deepEqual(unknownKeys({ a: 1, b: 2, c: 3 }, ["a", "c", "d"]), ["b"]);
});

test("a whole number lies within both bounds, has no fraction and is rounded by no reader", () => {
  for (const value of [2, 3, 4]) assert.equal(isWholeNumber(value, 2, 4), true);
  for (const value of [1, 5, 3.5, -3, "3", [3], null, undefined, Number.NaN]) {
    assert.equal(isWholeNumber(value, 2, 4), false);
  }
  assert.equal(isWholeNumber(2 ** 53 - 1, 1), true);
  assert.equal(isWholeNumber(2 ** 53, 1), false);
});

test("one content has one text, whatever order its author wrote it in", () => {
  const value = { b: -1, a: [true, false, null, 'x"\n'], c: { "a!": 1, a: {}, Z: [] }, "": 0 };
  const sorted = '{"":0,"a":[true,false,null,"x\\"\\n"],"b":-1,"c":{"Z":[],"a":{},"a!":1}}';
  assert.equal(canonicalJson(value), sorted);
  assert.equal(canonicalJson(Object.fromEntries(Object.entries(value).toReversed())), sorted);
  assert.equal(canonicalJson({ "\uffff": 1, "\u{1f600}": 2 }), '{"\u{1f600}":2,"\uffff":1}');
  const absent = { a: undefined, b: 1 } as unknown as Json;
  assert.equal(canonicalJson(absent), '{"b":1}');
});

test("what TUF signs escapes two characters and no more", () => {
  assert.equal(signedForm({ 'a"\\': "\n\t\u0000é" }), '{"a\\"\\\\":"\n\t\u0000é"}');
});

test("what has no canonical form is not signed in some other one", () => {
  for (const value of [1.5, 2 ** 53, Number.NaN, [0.1], { a: -1e300 }]) {
    assert.throws(() => canonicalJson(value), TypeError);
    assert.throws(() => signedForm(value), TypeError);
  }
  assert.throws(() => signedForm("\ud800"), TypeError);
  assert.throws(() => signedForm({ "\udc00": 1 }), TypeError);
  assert.equal(canonicalJson("\ud800"), '"\\ud800"', "bundles write it escaped, so it stays apart");
});

test("a canonical text is read back as what it was made from", () => {
  const numbers = fc.maxSafeInteger();
  const { value } = fc.letrec<{ value: Json }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      numbers,
      fc.boolean(),
      fc.constant(null),
      fc.string({ unit: "binary" }),
      fc.array(tie("value"), { maxLength: 4 }),
      fc.dictionary(fc.string(), tie("value"), { maxKeys: 4, noNullPrototype: true }),
    ),
  }));
  fc.assert(
    fc.property(value, (json) => {
      assert.deepEqual(JSON.parse(canonicalJson(json)), JSON.parse(JSON.stringify(json)));
    }),
  );
});

test("a refusal shows of a foreign value what a log can hold, and nothing of lists and objects", () => {
  const shown: readonly [Json | undefined, string][] = [
    [undefined, "missing"],
    [null, "null"],
    [true, "true"],
    [7, "7"],
    ["a\n", '"a\\n"'],
    [["secret"], "not text"],
    [{ a: "secret" }, "not text"],
  ];
  for (const [value, text] of shown) assert.equal(showJson(value), text);
});
