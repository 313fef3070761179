import assert from "node:assert/strict";
import { test } from "node:test";
import { newHistogram, observeSeconds } from "./histogram.ts";

test("a bound belongs to its own bucket, and what is above all bounds is counted without one", () => {
  const histogram = newHistogram([1, 2]);
  for (const seconds of [0.5, 1, 1.5, 2, 3]) observeSeconds(histogram, seconds);
  assert.deepEqual(histogram, { bounds: [1, 2], counts: [2, 2], count: 5, sum: 8 });
});

test("a clock that went back takes nothing from the sum, and a time that nobody knows is not counted", () => {
  const histogram = newHistogram([1]);
  for (const seconds of [-5, Number.NaN, Number.POSITIVE_INFINITY]) observeSeconds(histogram, seconds);
  assert.deepEqual(histogram, { bounds: [1], counts: [1], count: 1, sum: 0 });
});
