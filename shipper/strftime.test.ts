import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { strftime, strftimeProblem } from "./strftime.ts";

test("strftime() agrees with the calendar of the language for every day from 1900 to 2200", () => {
  const seconds = fc.integer({ min: -2_208_988_800, max: 7_258_118_400 });
  fc.assert(
    fc.property(seconds, (at) => {
      const iso = new Date(at * 1000).toISOString();
      assert.equal(strftime("%Y-%m-%dT%H:%M:%S", at), iso.slice(0, 19));
      assert.equal(strftime("%FT%T", at), iso.slice(0, 19));
      assert.equal(strftime("%w", at), String(new Date(at * 1000).getUTCDay()));
      const newYear = Date.UTC(Number(iso.slice(0, 4)), 0, 1) / 1000;
      assert.equal(Number(strftime("%j", at)), Math.floor((at - newYear) / 86_400) + 1);
    }),
    { numRuns: 2000 },
  );
});

// From ISO 8601 itself: the first and the last days of years that share a week.
const weeks = [
  ["2005-01-01", "2004-W53"],
  ["2005-12-31", "2005-W52"],
  ["2007-01-01", "2007-W01"],
  ["2008-12-30", "2009-W01"],
  ["2010-01-03", "2009-W53"],
  ["2020-12-31", "2020-W53"],
] as const;
for (const [day, week] of weeks) {
  test(`strftime() places ${day} in ${week}`, () => {
    assert.equal(strftime("%G-W%V", Date.parse(day) / 1000), week);
  });
}

test("strftimeProblem() names the letter that is not known", () => {
  assert.equal(strftimeProblem("%Y.%m.%d and 100%%"), undefined);
  assert.match(strftimeProblem("%Y-%Q") ?? "", /^%Q is not supported/);
  assert.match(strftimeProblem("%Y-%") ?? "", /^% is not supported/);
});
