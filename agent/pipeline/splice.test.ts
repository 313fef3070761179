import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { ModifyRule } from "#shipper";
import { Arena } from "./arena.ts";
import { RecordScanner } from "./scan.ts";
import { Splice } from "./splice.ts";

const scanner = new RecordScanner();

function spliced(text: string, rules: readonly ModifyRule[]): string {
  const bytes = Buffer.from(text);
  assert.ok(scanner.scan(bytes, 0, bytes.length), scanner.why);
  const arena = new Arena();
  new Splice(rules).apply(bytes, 0, bytes.length, scanner, arena);
  return arena.bytes.toString("utf8", 0, arena.length);
}

const cluster: ModifyRule = { kind: "set", key: "x_cluster", value: "c-1" };

const cases: readonly (readonly [text: string, rules: readonly ModifyRule[], want: string])[] = [
  ["{}", [cluster], '{"x_cluster":"c-1"}'],
  ['{"a":1.50e1}', [cluster], '{"a":1.50e1,"x_cluster":"c-1"}'],
  ['{"x_cluster":"evil","a":1}', [cluster], '{"a":1,"x_cluster":"c-1"}'],
  ['{"x_cluster":1,"x_cluster":2}', [cluster], '{"x_cluster":"c-1"}'],
  ['{"x\\u005fcluster":"evil"}', [cluster], '{"x_cluster":"c-1"}'],
  ['{"a":{"x_cluster":"inner"}}', [cluster], '{"a":{"x_cluster":"inner"},"x_cluster":"c-1"}'],
  ['{"a":1}', [{ kind: "add", key: "a", value: "2" }], '{"a":1}'],
  ['{"a":1,"b":2}', [{ kind: "remove", key: "a" }], '{"b":2}'],
  ['{"a":"\\u00e9"}', [{ kind: "rename", key: "a", to: "b" }], '{"b":"\\u00e9"}'],
  ['{"a":1,"b":2}', [{ kind: "rename", key: "a", to: "b" }], '{"a":1,"b":2}'],
  ['{"a":[1]}', [{ kind: "copy", key: "a", to: "b" }], '{"a":[1],"b":[1]}'],
  [
    '{"a":1}',
    [
      { kind: "set", key: "k", value: "1" },
      { kind: "add", key: "k", value: "2" },
    ],
    '{"a":1,"k":"1"}',
  ],
  [' { "a" : 1 } ', [], ' { "a" : 1 } '],
];
for (const [text, rules, want] of cases) {
  test(`${text} with ${JSON.stringify(rules)} becomes ${want}`, () => {
    assert.equal(spliced(text, rules), `${want}\n`);
  });
}

const json = fc.dictionary(fc.oneof(fc.string(), fc.constantFrom("x_cluster", "x_team")), fc.jsonValue());

test("the scanner accepts every JSON object and finds the members that JSON.parse finds", () => {
  fc.assert(
    fc.property(json, fc.constantFrom(0, 1, 2), (value, indent) => {
      const bytes = Buffer.from(JSON.stringify(value, null, indent));
      assert.ok(scanner.scan(bytes, 0, bytes.length), scanner.why);
      assert.equal(scanner.count, Object.keys(value).length);
    }),
  );
});

test("the scanner and JSON.parse agree on every damaged object", () => {
  const damage = fc.tuple(
    fc.nat(),
    fc.constantFrom(...Array.from('{}[],:"\\0123eE+-.u tfn\n\t/'), "\u0001", "", "  ", "true"),
  );
  fc.assert(
    fc.property(json, fc.array(damage, { maxLength: 3 }), fc.nat(), (value, hits, cut) => {
      let text = JSON.stringify(value);
      for (const [where, put] of hits) {
        const at = where % (text.length + 1);
        text = text.slice(0, at) + put + text.slice(at + (cut % 2));
      }
      const bytes = Buffer.from(text);
      assert.equal(scanner.scan(bytes, 0, bytes.length), parsesAsObject(text), JSON.stringify(text));
    }),
    { numRuns: 3000 },
  );
});

test("a spliced record parses, has the facts, and keeps every other value", () => {
  const rules: ModifyRule[] = [cluster, { kind: "set", key: "x_team", value: 'a "quoted"\nteam' }];
  fc.assert(
    fc.property(json, (value) => {
      const want = { ...value, x_cluster: "c-1", x_team: 'a "quoted"\nteam' };
      assert.deepEqual(JSON.parse(spliced(JSON.stringify(value), rules)), JSON.parse(JSON.stringify(want)));
    }),
  );
});

test("nesting as deep as the API server allows is accepted, deeper is refused in words", () => {
  const nested = (depth: number) => Buffer.from(`{"a":${"[".repeat(depth)}${"]".repeat(depth)}}`);
  assert.ok(scanner.scan(nested(9_999), 0, nested(9_999).length));
  assert.ok(!scanner.scan(nested(10_000), 0, nested(10_000).length));
  assert.match(scanner.why, /nested deeper/);
});

function parsesAsObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}
