import assert from "node:assert/strict";
import { test } from "node:test";
import { decode } from "@msgpack/msgpack";
import * as fc from "fast-check";
import { Arena } from "./arena.ts";
import { MsgpackRecord } from "./msgpack-record.ts";

function written(json: string): Uint8Array {
  const arena = new Arena();
  const before = Buffer.from("xx");
  const bytes = Buffer.concat([before, Buffer.from(json), before]);
  new MsgpackRecord(arena).write(bytes, before.length, bytes.length - before.length);
  return Uint8Array.from(arena.bytes.subarray(0, arena.length));
}

test("whatever JSON comes, MessagePack says the same, also with blanks and escapes all over", () => {
  fc.assert(
    fc.property(
      fc.jsonValue({ maxDepth: 6 }),
      fc.constantFrom(undefined, 1, "\t"),
      fc.boolean(),
      (value, space, isAscii) => {
        const text = JSON.stringify(value, undefined, space);
        const json = isAscii
          ? text.replaceAll(/[\u0080-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`)
          : text;
        // Half a surrogate pair has no bytes: it becomes U+FFFD, as everywhere in UTF-8.
        // The decoder that it is compared by takes no such key, wherever it comes from.
        fc.pre(!text.includes('"__proto__"'));
        const expected: unknown = JSON.parse(Buffer.from(text).toString().toWellFormed());
        assert.deepEqual(decode(written(json)), wellFormed(expected));
      },
    ),
    { numRuns: 500 },
  );
});

/** `-0` is a whole number, and there is one zero among those. Escapes may still hold half a pair. */
function wellFormed(value: unknown): unknown {
  const text = JSON.stringify(value, (_, one: unknown) =>
    typeof one === "string" ? one.toWellFormed() : one,
  );
  return JSON.parse(text) as unknown;
}

test("keys keep their order and their repetitions, as other readers of the record see them", () => {
  assert.deepEqual(
    written('{"b":1,"a":2,"b":3}'),
    Uint8Array.of(0x83, 0xa1, 0x62, 1, 0xa1, 0x61, 2, 0xa1, 0x62, 3),
  );
});

test("what is nested without end is refused and not followed until the stack is gone", () => {
  const deep = (levels: number) => `${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`;
  assert.equal(written(deep(500)).length, 500 * 3 + 1);
  assert.throws(() => written(deep(9000)), /nested more than 512 levels/);
});
