import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { Growths, Lasting } from "./growth.ts";
import type { Counted } from "./growth.ts";

const startMs = 1_000_000_000;
const minuteMs = 60_000;
/** A program that counts records; of the time before the watch unless it is told when it began. */
const of = (records: number, epoch = "1", beganMs = startMs - minuteMs): Counted => ({
  beganMs,
  epoch,
  counts: new Map([["records", records]]),
});
type Look = readonly [seen: Readonly<Record<string, Counted>>, isCounted?: boolean, afterMs?: number];

function totalOver(looks: readonly Look[]): number {
  const growths = new Growths(startMs);
  let atMs = startMs;
  for (const [seen, isCounted = true, afterMs = 2_000] of looks) {
    atMs += afterMs;
    growths.take(new Map(Object.entries(seen)), isCounted, atMs);
  }
  return growths.total("records");
}

const cases: readonly (readonly [what: string, looks: readonly Look[], total: number])[] = [
  ["what a pod had read before the agent came", [[{ a: of(9_000) }], [{ a: of(9_005) }]], 5],
  ["a pod that misses a look", [[{ a: of(9_000) }], [{}], [{ a: of(9_005) }]], 5],
  ["a pod that misses looks for an hour", [[{ a: of(9_000) }], [{ a: of(9_400) }, true, 60 * minuteMs]], 400],
  [
    "a pod that is met again after an hour away",
    [[{ a: of(9_000) }], [{}, true, 60 * minuteMs], [{ a: of(9_400) }]],
    0,
  ],
  [
    "a pod that begins while others are watched",
    [[{ a: of(100) }], [{ a: of(100), b: of(7, "2", startMs + 1_000) }]],
    7,
  ],
  ["a pod that was not ready at first", [[{ a: of(100) }], [{ a: of(100), b: of(8_000) }]], 0],
  ["a reload after which it counts anew", [[{ a: of(100) }], [{ a: of(3, "1 reload") }]], 3],
  ["a reload that has read more again than before", [[{ a: of(100) }], [{ a: of(150, "1 reload") }]], 150],
  ["a pod that begins anew without saying so", [[{ a: of(100) }], [{ a: of(4) }]], 4],
  [
    "what came while another agent counted",
    [
      [{ a: of(10) }, false],
      [{ a: of(500) }, false],
    ],
    0,
  ],
  [
    "the lease that comes over from an agent that ended",
    [[{ a: of(10) }, false], [{ a: of(500) }, false], [{ a: of(503) }]],
    3,
  ],
  [
    "pods that say nothing of when they began",
    [[{ a: of(5, "", 0) }], [{ a: of(6, "", 0), b: of(9, "", 0) }]],
    1,
  ],
];
for (const [what, looks, total] of cases) {
  test(`gates that look at rates and drops see no more than there was for ${what}`, () => {
    assert.equal(totalOver(looks), total);
  });
}

test("totals over programs never go back, whatever comes, goes and counts anew", () => {
  const program = fc.record({
    records: fc.nat(1_000),
    epoch: fc.constantFrom("1", "2"),
    began: fc.nat(2_000_000),
  });
  const look = fc.record({
    seen: fc.dictionary(fc.constantFrom("a", "b", "c"), program),
    isCounted: fc.boolean(),
    afterMs: fc.integer({ min: 1, max: 20 * minuteMs }),
  });
  fc.assert(
    fc.property(fc.array(look, { maxLength: 30 }), (looks) => {
      const growths = new Growths(startMs);
      let [atMs, last] = [startMs, 0];
      return looks.every(({ seen, isCounted, afterMs }) => {
        atMs += afterMs;
        const counted = Object.entries(seen).map(
          ([name, { records, epoch, began }]) => [name, of(records, epoch, startMs + began)] as const,
        );
        growths.take(new Map(counted), isCounted, atMs);
        const before = last;
        last = growths.total("records");
        return last >= before && (isCounted || last === before);
      });
    }),
  );
});

const lastingCases: readonly (readonly [
  what: string,
  looks: readonly Readonly<Record<"events" | "dropped", number>>[],
  sums: Readonly<Record<"events" | "dropped", number>>,
])[] = [
  [
    "counts an event once when what was dropped alone goes back",
    [
      { events: 120, dropped: 5 },
      { events: 130, dropped: 0 },
    ],
    { events: 130, dropped: 5 },
  ],
  [
    "goes on counting what is dropped then",
    [
      { events: 120, dropped: 5 },
      { events: 130, dropped: 0 },
      { events: 131, dropped: 3 },
    ],
    { events: 131, dropped: 8 },
  ],
  [
    "takes nothing back when the pipeline begins anew",
    [
      { events: 120, dropped: 5 },
      { events: 30, dropped: 1 },
      { events: 31, dropped: 2 },
    ],
    { events: 151, dropped: 7 },
  ],
];
for (const [what, looks, sums] of lastingCases) {
  test(`an agent with drivers ${what}`, () => {
    const lasting = new Lasting(["events", "dropped"]);
    assert.deepEqual(looks.map((each) => lasting.take(each)).at(-1), sums);
  });
}
