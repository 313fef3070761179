import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import { formatTime, parseTime } from "./time.ts";

test("every time to the second is read back as what was written", () => {
  const seconds = fc.integer({ min: 0, max: 253_402_300_799 });
  fc.assert(
    fc.property(seconds, (at) => {
      const time = new Date(at * 1000);
      return parseTime(formatTime(time))?.getTime() === time.getTime();
    }),
  );
});

test("what another reader could take for another time, or for none, is no time here", () => {
  for (const odd of [
    "2030-02-30T00:00:00Z",
    "2030-13-01T00:00:00Z",
    "2030-01-01T24:00:00Z",
    "2030-01-01T00:00:60Z",
    "2030-01-01T00:00:00.5Z",
    "2030-01-01T00:00:00+00:00",
    "2030-01-01T00:00:00z",
    "2030-01-01T00:00Z",
    "+010000-01-01T00:00Z",
    " 2030-01-01T00:00:00Z",
    "2030-01-01",
    "soon",
    "",
  ]) {
    assert.equal(parseTime(odd), undefined, odd);
  }
});

test("what is no text is no time, also when it would turn into one, or into nothing at all", () => {
  const text = "2030-01-01T00:00:00Z";
  for (const odd of [undefined, null, 0, [text], { toString: () => text }, { toString: 1, valueOf: 1 }]) {
    assert.equal(parseTime(odd), undefined);
  }
});
