import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { Progress } from "./progress.ts";

test("whatever order lines are done in, the position never passes one that is not, and forgets none that is", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 40 }),
      fc.infiniteStream(fc.nat()),
      fc.integer({ min: 0, max: 40 }),
      (lengths, dice, cut) => {
        let end = 5;
        const lines = lengths.map((length) => ({ from: end, to: (end += length), isDone: false }));
        let progress = new Progress(5);
        const order = [...lines].map((line) => ({ line, rank: dice.next().value }));
        order.sort((a, b) => a.rank - b.rank);
        for (const { line } of order.slice(0, cut)) {
          for (let time = 0; time <= line.to % 2; time++) progress.add(line.from, line.to);
          line.isDone = true;
          // As after a restart.
          if (line.to % 3 === 0) progress = new Progress(progress.offset, progress.ahead);
          const first = lines.find((one) => !one.isDone);
          assert.equal(progress.offset, first?.from ?? end);
          for (const one of lines) {
            assert.equal(progress.isAhead(one.from), one.isDone && one.from >= progress.offset);
          }
        }
        if (cut >= lines.length) assert.deepEqual([progress.offset, progress.ahead], [end, []]);
      },
    ),
  );
});
