import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { PositionNotes, decodePositions, encodePositions } from "./positions.ts";

const position = fc.record({
  origin: fc.constantFrom("a", "b", "0123456789abcdef0123456789abcdef", "größe"),
  inode: fc.constantFrom(1, 2, 2 ** 52),
  offset: fc.oneof(fc.nat(5000), fc.nat(Number.MAX_SAFE_INTEGER)),
});

test("positions come back from the queue as they were noted, whatever the sources and their order", () => {
  fc.assert(
    fc.property(fc.array(position, { maxLength: 60 }), (wanted) => {
      const notes = new PositionNotes();
      for (const one of wanted) notes.add(one);
      const found = decodePositions(encodePositions(notes), wanted.length);
      assert.ok(found !== undefined);
      const back = wanted.map((_, index) => {
        const run = found.runs.findLast(({ from }) => from <= index);
        return { origin: run?.origin, inode: run?.inode, offset: found.offsets[index] };
      });
      assert.deepEqual(
        back,
        wanted.map((one) => ({ ...one })),
      );
    }),
  );
});

test("positions that are cut off or about other records are no positions", () => {
  const notes = new PositionNotes();
  for (const offset of [0, 1600, 400_000]) notes.add({ origin: "a", inode: 1, offset });
  const bytes = encodePositions(notes);
  assert.equal(decodePositions(bytes, 2), undefined);
  assert.equal(decodePositions(bytes, 4), undefined);
  for (let end = 0; end < bytes.length; end++) {
    assert.equal(decodePositions(bytes.subarray(0, end), 3), undefined);
  }
});
