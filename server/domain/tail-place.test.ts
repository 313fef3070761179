import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import { createTailPlace, overlapMs } from "./tail-place.ts";

test("a tail that finds nothing moves on all the same, so that it does not read ever more", () => {
  const place = createTailPlace(10n);
  const all = (last: bigint) => ({ upTo: last, last });
  place.advance([], all(5_000n), 0);
  place.advance([], all(9_000n), overlapMs);
  assert.equal(place.after, 10n);
  place.advance([], all(9_500n), overlapMs + 1);
  assert.equal(place.after, 5_000n);
});

test("a tail tells each alert once, whatever comes late within the overlap, and remembers no more than that", () => {
  const late = fc.array(fc.nat({ max: overlapMs - 1_000 }), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(late, fc.integer({ min: 1, max: 10 }), (delays, size) => {
      // Alert i takes its place at 500 i, and can be seen from `delays[i]` later.
      const alerts = delays.map((delay, i) => ({ arrival: BigInt(i + 1), seenMs: 500 * i + delay }));
      const place = createTailPlace(0n);
      const told: bigint[] = [];
      for (let nowMs = 0; nowMs < 1_200 * delays.length + 3 * overlapMs; nowMs += 700) {
        const there = alerts.filter(({ seenMs }) => seenMs <= nowMs).map(({ arrival }) => arrival);
        const unseen = there.filter((arrival) => arrival > place.after && !place.isTold(arrival));
        const fresh = unseen.slice(0, size);
        told.push(...fresh);
        const last = there.at(-1) ?? 0n;
        place.advance(fresh, { upTo: unseen.length > size ? (fresh.at(-1) ?? 0n) : last, last }, nowMs);
      }
      assert.deepEqual(
        told.toSorted((x, y) => Number(x - y)),
        alerts.map(({ arrival }) => arrival),
      );
      assert.equal(place.toldCount, 0);
    }),
  );
});

test("a tail that is far behind forgets what it told as it goes, so that it does not read ever more, and repeats nothing after a break", () => {
  const place = createTailPlace(0n);
  const [size, backlog] = [200, 100_000];
  let remembered = 0;
  for (let [first, nowMs] = [1, 0]; first <= backlog; first += size, nowMs += 100) {
    const fresh = Array.from({ length: size }, (_, i) => BigInt(first + i));
    const upTo = BigInt(first + size - 1);
    // Others arrive all the time behind what is read.
    place.advance(fresh, { upTo, last: BigInt(backlog + nowMs) }, nowMs);
    if (nowMs > overlapMs) assert.equal(place.after, upTo);
    remembered = Math.max(remembered, place.toldCount);
  }
  assert.equal(remembered, size * (overlapMs / 100 + 1));
});
