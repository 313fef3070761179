import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { ValueCache } from "./value-cache.ts";

const name = fc.oneof(
  fc.string({ unit: fc.constantFrom("a", "b", "-"), maxLength: 12 }),
  fc.integer({ max: 200, min: 100 }).map((length) => "x".repeat(length)),
);

test("a value that is kept is found by its bytes wherever they lie, and no other value is taken for it", () => {
  fc.assert(
    fc.property(fc.array(name, { maxLength: 40 }), fc.nat({ max: 20 }), (names, shift) => {
      const cache = new ValueCache();
      const kept = new Map<string, number>();
      for (const [number, one] of names.entries()) {
        const bytes = Buffer.from(`${"-".repeat(shift)}${one}--`);
        const [start, end] = [shift, shift + one.length];
        const found = cache.find(bytes, start, end);
        assert.ok(found === -1 || found === kept.get(one), one);
        cache.keep(bytes, start, end, number);
        kept.set(one, number);
        assert.equal(cache.find(bytes, start, end), one.length > 128 ? -1 : number, one);
      }
    }),
    { numRuns: 1000 },
  );
});
