import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { BodySplitter } from "./http-body.ts";

const splitter = new BodySplitter();

function lines(body: string | Buffer): string[] {
  const split = splitter.split(Buffer.from(body));
  assert.ok(split.ok, split.ok ? "" : split.why);
  const found = Buffer.concat(split.entries).toString().split("\n").slice(0, -1);
  assert.equal(found.length, split.count);
  return found;
}

function refusal(body: string | Buffer): string {
  const split = splitter.split(Buffer.from(body));
  return split.ok ? assert.fail(`accepted: ${lines(body).join(" ")}`) : split.why;
}

test("what the API server's webhook sends becomes its events, each of which says what it is", () => {
  const list = `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[
    {"level":"Metadata","auditID":"a","stage":"ResponseComplete","n":1.50},{"kind":"Event","auditID":"b"},{} ]}`;
  const head = '{"kind":"Event","apiVersion":"audit.k8s.io/v1"';
  assert.deepEqual(lines(list), [
    `${head},"level":"Metadata","auditID":"a","stage":"ResponseComplete","n":1.50}`,
    '{"kind":"Event","auditID":"b"}',
    `${head}}`,
  ]);
  for (const empty of ['"items":[]', '"items":null', '"metadata":{}']) {
    assert.deepEqual(lines(`{"kind":"EventList",${empty}}`), []);
  }
});

const bodies: readonly (readonly [what: string, body: string, wanted: readonly string[]])[] = [
  ["one object", '{"a":1}', ['{"a":1}']],
  ["an array", ' [ {"a":1} , {"b":"]}"} ] ', ['{"a":1}', '{"b":"]}"}']],
  ["an empty array", "[]", []],
  ["JSON lines", '{"a":1}\n{"b":2}\r\n\n{"c":3}', ['{"a":1}', '{"b":2}', '{"c":3}']],
  ["objects that touch", '{"a":1}{"b":2}', ['{"a":1}', '{"b":2}']],
  ["a byte order mark", '\uFEFF{"a":1}', ['{"a":1}']],
  ["escapes and Unicode as they are", '{"a":"\\u00e9 \\" é \\\\"}', ['{"a":"\\u00e9 \\" é \\\\"}']],
  ["an event over several lines", '{\n  "a": [\n    1\r\n  ]\n}', ['{   "a": [     1    ] }']],
];
for (const [what, body, wanted] of bodies) {
  test(`a body with ${what} is taken apart without being rebuilt`, () => {
    assert.deepEqual(lines(body), wanted);
  });
}

const refusals: readonly (readonly [body: string | Buffer, why: RegExp])[] = [
  ["", /it is empty/],
  [" \n", /it is empty/],
  ["hello", /no JSON object at byte 0/],
  ['"text"', /no JSON object/],
  ['{"a":1', /cut off/],
  ['{"a":1}{"b":', /byte 7/],
  ["{'a':1}", /a key is missing/],
  ['[{"a":1}', /misses a comma or its end/],
  ['[{"a":1},]', /no object/],
  ['[{"a":1} {"b":1}]', /misses a comma/],
  ["[1]", /no object/],
  ['[{"a":1}] x', /something follows the array/],
  ['{"kind":"EventList","items":[1]}', /no object/],
  ['{"kind":"EventList","items":[{"a":}]}', /a value is missing/],
  ['{"a":"\n"}', /control character|not closed/],
  [Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), /not UTF-8/],
  ["[".repeat(100_000), /no object/],
];
for (const [body, why] of refusals) {
  test(`a body ${JSON.stringify(body.toString().slice(0, 40))} is refused as a whole, with the place`, () => {
    assert.match(refusal(body), why);
  });
}

test("any list of any records comes out as the same records, whatever blanks are between", () => {
  const record = fc.dictionary(fc.string({ maxLength: 8 }), fc.jsonValue(), { maxKeys: 4 });
  const blanks = fc.constantFrom("", " ", "\n", "\r\n\t");
  fc.assert(
    fc.property(fc.array(record), blanks, fc.constantFrom(undefined, 1, "\t"), (records, blank, indent) => {
      const plain = JSON.parse(JSON.stringify(records)) as Record<string, unknown>[];
      const texts = records.map((one) => JSON.stringify(one, undefined, indent));
      const same = (found: readonly string[]) =>
        assert.deepEqual(
          found.map((line) => JSON.parse(line)),
          plain,
        );
      same(lines(`[${blank}${texts.join(`${blank},${blank}`)}${blank}]${blank}`));
      if (records.length > 0) same(lines(texts.join(blank)));
      const list = `{"items"${blank}:[${texts.join(`${blank},`)}]${blank},"kind":"EventList"}`;
      const events = lines(list).map((line) => JSON.parse(line) as Record<string, unknown>);
      assert.deepEqual(
        events,
        plain.map((one) =>
          Object.hasOwn(one, "kind") ? one : { kind: "Event", apiVersion: "audit.k8s.io/v1", ...one },
        ),
      );
    }),
  );
});

test("a large body is cut into pieces between records", () => {
  const record = JSON.stringify({ pad: "x".repeat(300_000) });
  const split = splitter.split(Buffer.from(`[${Array.from({ length: 10 }, () => record).join(",")}]`));
  assert.ok(split.ok && split.entries.length >= 3);
  assert.ok(split.entries.every((entry) => entry.at(-1) === 0x0a && entry.length <= 1_048_576));
});
