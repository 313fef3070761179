import assert from "node:assert/strict";
import { test } from "node:test";
import { filtered } from "./testing/filtered.ts";

const config = "[FILTER]\n Name throttle\n Rate 5\n Window 5\n Interval 1s\n";

/** Records that go through when `count` come in the second `at`. */
function passed(
  filter: ReturnType<typeof filtered>,
  clock: { ms: number },
  at: number,
  count: number,
): number {
  clock.ms = at * 1000;
  return Array.from({ length: count }, () => filter.line('{"a":1}')).filter((line) => line !== undefined)
    .length;
}

test("throttle drops what goes beyond the average of its window, as in Fluent Bit's example", () => {
  const clock = { ms: 0 };
  const filter = filtered(config, () => clock.ms);
  const through = [1, 3, 5, 7, 3, 4, 7].map((count, second) => passed(filter, clock, 100 + second, count));
  assert.deepEqual(through, [1, 3, 5, 7, 3, 4, 6]);
  assert.deepEqual(filter.stats()[0]?.drops, [{ reason: "more than 5 per 1 s", records: 1 }]);
});

test("throttle lets records through again when the window has moved on", () => {
  const clock = { ms: 0 };
  const filter = filtered(config, () => clock.ms);
  assert.equal(passed(filter, clock, 0, 100), 25);
  assert.equal(passed(filter, clock, 4, 100), 0);
  assert.equal(passed(filter, clock, 5, 100), 25);
  assert.equal(passed(filter, clock, 1000, 100), 25);
});

test("a clock that is set back neither opens the gate nor closes it for good", () => {
  const clock = { ms: 0 };
  const filter = filtered(config, () => clock.ms);
  assert.equal(passed(filter, clock, 100, 30), 25);
  assert.equal(passed(filter, clock, 50, 30), 0);
  assert.equal(passed(filter, clock, 105, 30), 25);
});

test("with time_key a backlog is judged by its own times, and none of it is dropped for being read fast", () => {
  const filter = filtered(`${config} time_key t\n`, () => Date.parse("2026-11-22T12:00:00Z"));
  const lines = Array.from({ length: 600 }, (_, index) => {
    const second = Math.floor(index / 5);
    return JSON.stringify({ t: new Date(Date.parse("2026-11-22T11:00:00Z") + second * 1000).toISOString() });
  });
  assert.equal(lines.filter((line) => filter.line(line) === undefined).length, 0);
});

test("a record from the future cannot close the gate for those after it", () => {
  const clock = { ms: 0 };
  const filter = filtered(`${config} time_key t\n`, () => clock.ms);
  filter.line('{"t":"9999-01-01T00:00:00Z"}');
  assert.equal(passed(filter, clock, 10, 30), 25);
  assert.equal(passed(filter, clock, 20, 30), 25);
});
