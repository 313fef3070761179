import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { JsonText } from "./json-text.ts";

test("text between quotes means the same text, whatever is in it, and what needs no escape keeps its bytes", () => {
  const json = new JsonText();
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "grapheme" }), (any, plain) => {
      for (const text of [any, plain]) {
        const bytes = Buffer.from(text);
        json.reset();
        json.put(Buffer.from('"'));
        json.putEscaped(bytes, 0, bytes.length);
        json.put(Buffer.from('"'));
        const made = json.bytes.subarray(0, json.length);
        assert.equal(JSON.parse(made.toString()), bytes.toString());
        if (!/["\\\p{Cc}]/u.test(text)) assert.deepEqual(made.subarray(1, -1), bytes);
        assert.equal(json.bytes[json.length], 0x0a);
      }
    }),
  );
});
