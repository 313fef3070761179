import assert from "node:assert/strict";
import { test } from "node:test";

import { createOffences } from "./offences.ts";

const minute = 60_000;

test("each offence costs twice as much as the one before it, up to 128 times, and a calm minute takes one off", () => {
  const offences = createOffences(10);
  const prices = Array.from({ length: 10 }, () => offences.note("bad", 0));
  assert.deepEqual(prices, [1, 2, 4, 8, 16, 32, 64, 128, 128, 128]);
  assert.equal(offences.note("other", 0), 1);
  assert.equal(offences.note("bad", 3 * minute), 16);
  assert.equal(offences.note("bad", 3 * minute + 59_000), 32);
  assert.equal(offences.note("bad", 60 * minute), 1);
});

test("a clock that goes back forgives nothing", () => {
  const offences = createOffences(10);
  offences.note("bad", 10 * minute);
  assert.equal(offences.note("bad", 0), 2);
});

test("a flood of addresses holds no more memory than the bound, and who offends again is not forgotten", () => {
  const offences = createOffences(100);
  for (let i = 0; i < 10_000; i += 1) {
    offences.note(`other ${i}`, 0);
    if (i % 50 === 0) offences.note("bad", 0);
  }
  assert.equal(offences.size, 100);
  assert.equal(offences.note("bad", 0), 128);
});
