import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { Arena } from "./arena.ts";
import { putEscaped } from "./json-escape.ts";

test("putEscaped() makes the inside of a string that says the same", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "binary", maxLength: 200 }),
      fc.string({ maxLength: 20 }),
      (text, before) => {
        const bytes = Buffer.from(`${before}${text}\n`);
        const arena = new Arena();
        putEscaped(arena, bytes, Buffer.byteLength(before), bytes.length - 1);
        const written = arena.bytes.toString("utf8", 0, arena.length);
        assert.equal(JSON.parse(`"${written}"`), Buffer.from(text).toString());
      },
    ),
  );
});
