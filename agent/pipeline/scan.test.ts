import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { textOf } from "./json-walk.ts";
import { RecordScanner } from "./scan.ts";
import { repeatingRecords } from "./testing/odd-records.ts";

const scanner = new RecordScanner();
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

test("the scanner finds the members that a record was written from, in order, repeated and escaped keys included", () => {
  fc.assert(
    fc.property(repeatingRecords, fc.constantFrom("", "\n", " \r\n"), ({ members, text }, after) => {
      const bytes = Buffer.from(text + after);
      assert.ok(scanner.scan(bytes, 0, bytes.length), scanner.why);
      const found = Array.from({ length: scanner.count }, (_, nth) => {
        const [key = 0, keyEnd = 0, value, valueEnd] = scanner.members.subarray(4 * nth, 4 * nth + 4);
        return [textOf(bytes, key, keyEnd), bytes.toString("utf8", value, valueEnd)] as const;
      });
      assert.deepEqual(
        found.map(([name]) => name),
        members.map(([name]) => name),
      );
      for (const [nth, [, value]] of members.entries()) {
        if (typeof value === "string") assert.equal(found[nth]?.[1], value);
        else assert.match(found[nth]?.[1] ?? "", /^\{.*\}$/s);
      }
      const isEscaped = (nth: number) =>
        bytes.toString("utf8", scanner.members[4 * nth], scanner.members[4 * nth + 1]).includes("\\");
      assert.equal(
        scanner.hasEscapedKey,
        members.some((_, nth) => isEscaped(nth)),
      );
    }),
    { numRuns: 2000 },
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
