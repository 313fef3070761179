import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import { createTailPlace, overlapMs } from "./tail-place.ts";

test("a tail that finds nothing moves on all the same, so that it does not read ever more", () => {
  const place = createTailPlace(10n);
  place.advance([], 5_000n, 0);
  place.advance([], 9_000n, overlapMs);
  assert.equal(place.after, 10n);
  place.advance([], 9_500n, overlapMs + 1);
  assert.equal(place.after, 5_000n);
});

test("a tail tells each alert once, whatever comes late within the overlap, and remembers no more than that", () => {
  const late = fc.array(fc.nat({ max: overlapMs - 1_000 }), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(late, (delays) => {
      // Alert i takes its place at 500 i, and can be seen from `delays[i]` later.
      const alerts = delays.map((delay, i) => ({ arrival: BigInt(i + 1), seenMs: 500 * i + delay }));
      const place = createTailPlace(0n);
      const told: bigint[] = [];
      for (let nowMs = 0; nowMs < 500 * delays.length + 3 * overlapMs; nowMs += 700) {
        const there = alerts.filter(({ seenMs }) => seenMs <= nowMs).map(({ arrival }) => arrival);
        const fresh = there.filter((arrival) => arrival > place.after && !place.isTold(arrival));
        told.push(...fresh);
        place.advance(
          fresh,
          there.reduce((max, each) => (each > max ? each : max), 0n),
          nowMs,
        );
      }
      assert.deepEqual(
        told.toSorted((x, y) => Number(x - y)),
        alerts.map(({ arrival }) => arrival),
      );
      assert.equal(place.toldCount, 0);
    }),
  );
});
