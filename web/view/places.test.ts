import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { inOrder, placesOf, rowsToDraw, type Place } from "./places.ts";

const key = (index: number) => `row ${index}`;
const window = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => ({ key: key(from + i), index: from + i }));

test("scrolling draws as many rows wherever the window is, all that are in it, and none that is not there", () => {
  const sight = fc.record({ first: fc.nat(20_000), fits: fc.integer({ min: 1, max: 80 }) });
  fc.assert(
    fc.property(sight, fc.nat(10_000), (sight, count) => {
      const { from, to } = rowsToDraw(sight, count);
      assert.ok(from >= 0 && to <= count && from <= to);
      assert.equal(to - from, Math.min(count, sight.fits + 16));
      const [first, end] = [Math.min(sight.first, count), Math.min(sight.first + sight.fits, count)];
      assert.ok(first >= end || (from <= first && to >= end), "what is in the window is drawn");
    }),
  );
});

test("a row that stays in sight keeps its place however far the list is scrolled, and no new place is made for one that comes", () => {
  const steps = fc.array(fc.integer({ min: 0, max: 500 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(steps, (steps) => {
      let before: readonly Place[] = placesOf([], window(0, 40));
      for (const from of steps) {
        const wanted = window(from, from + 40);
        const now = placesOf(before, wanted);
        const placeOf = new Map(now.map((each) => [each.key, each.place]));
        for (const { key, place } of before) {
          assert.ok(!placeOf.has(key) || placeOf.get(key) === place, `${key} was moved`);
        }
        const places = now.map(({ place }) => place).toSorted((a, b) => a - b);
        assert.deepEqual(places, [...Array(40).keys()], "each place holds one row, and there are no more");
        assert.deepEqual(
          inOrder(now).map(({ key }) => key),
          wanted.map(({ key }) => key),
        );
        before = now;
      }
    }),
  );
});

test("no other row comes under the focus: its place goes when its row leaves, and stays while the row is drawn", () => {
  const before = placesOf([], window(0, 3));
  const focused = before.find(({ index }) => index === 0)?.place;
  const gone = placesOf(before, window(3, 6), focused);
  assert.deepEqual(
    gone.map(({ key }) => key).toSorted(),
    window(3, 6)
      .map(({ key }) => key)
      .toSorted(),
  );
  assert.ok(gone.every(({ place }) => place !== focused));
  // Who scrolled away from a row still has the focus there.
  const kept = placesOf(before, [...window(3, 5), { key: key(0), index: 0 }], focused);
  assert.equal(kept.find(({ place }) => place === focused)?.key, key(0));
});

test("a row that moves within the list is drawn where it is now, by the node that it had", () => {
  const before = placesOf([], window(0, 3));
  const moved = placesOf(before, [
    { key: "new", index: 0 },
    { key: key(0), index: 1 },
    { key: key(1), index: 2 },
  ]);
  const at = (key: string) => moved.find((each) => each.key === key);
  assert.equal(at(key(0))?.place, before[0]?.place);
  assert.deepEqual(
    inOrder(moved).map(({ key }) => key),
    ["new", key(0), key(1)],
  );
});
