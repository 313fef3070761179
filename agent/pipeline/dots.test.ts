import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { dotsToUnderscores } from "./dots.ts";

function replaced(text: string): unknown {
  const bytes = Buffer.from(text);
  dotsToUnderscores(bytes, 0, bytes.length);
  return JSON.parse(bytes.toString());
}

/** The same by way of values. */
function rebuilt(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(rebuilt);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key.replaceAll(".", "_"), rebuilt(inner)]),
  );
}

test("dotsToUnderscores() changes all keys and nothing else, at any depth, however they are written", () => {
  const key = fc
    .array(fc.constantFrom("a", ".", '"', "\\", "ü", ":", "_"), { maxLength: 5 })
    .map((all) => all.join(""))
    // After an object with a key "\\", JSON.parse() of V8 13.6 takes a key "\"" at the same place for that.
    .filter((all) => !all.endsWith("\\"));
  const tree = fc.letrec((tie) => ({
    value: fc.oneof(
      key,
      fc.integer(),
      fc.constant(null),
      fc.array(tie("value"), { maxLength: 3 }),
      tie("object"),
    ),
    object: fc.dictionary(key, tie("value"), { maxKeys: 4, noNullPrototype: true }),
  }));
  fc.assert(
    fc.property(tree.object, fc.constantFrom(undefined, 1), (value, indent) => {
      assert.deepEqual(replaced(JSON.stringify(value, undefined, indent)), rebuilt(value));
    }),
  );
});

test("a dot that is written as an escape is one, too, and an escaped backslash before u002e is none", () => {
  assert.deepEqual(replaced(String.raw`{"a\u002Eb":"\u002e"}`), { a_b: "." });
  assert.deepEqual(replaced(String.raw`{"a\\u002eb":1}`), { "a\\u002eb": 1 });
});
