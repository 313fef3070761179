import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { KindTable } from "./kind-table.ts";

test("each kind of events is found again by what events of it say, and no other kind is taken for it", () => {
  const row = fc.tuple(fc.nat({ max: 4 }), fc.nat({ max: 1100 }), fc.nat({ max: 3 }));
  fc.assert(
    fc.property(fc.array(row, { maxLength: 300 }), (rows) => {
      const table = new KindTable(3, 200);
      const known = new Map<string, number>();
      for (const one of rows) {
        const places = Int32Array.from(one);
        const want = known.get(one.join()) ?? -1;
        assert.equal(table.find(places), want);
        if (want >= 0) continue;
        const number = table.add(places);
        assert.equal(number, known.size < 200 ? known.size : -1);
        if (number >= 0) known.set(one.join(), number);
      }
    }),
    { numRuns: 500 },
  );
});
