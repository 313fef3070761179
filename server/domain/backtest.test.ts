import assert from "node:assert/strict";
import { test } from "node:test";

import { backtestState, parseBacktest, type RawBacktest } from "./backtest.ts";

const nowMs = Date.UTC(2030, 0, 1);
const hourMs = 3_600_000;
const raw: RawBacktest = {
  component: "rules",
  bundle: "starter@1.0.0",
  sinceMs: nowMs - 6 * hourMs,
  untilMs: undefined,
  deadlineSeconds: 0,
};

test("a backtest of the last hours ends now, and has half an hour", () => {
  const read = parseBacktest(raw, nowMs);
  assert.deepEqual(read.ok && [read.value.untilMs, read.value.deadlineSeconds], [nowMs, 1800]);
});

const wrong: readonly (readonly [string, object, string])[] = [
  ["of a shipper config", { component: "shipper" }, "kind"],
  ["without a bundle", { bundle: "" }, "bundle"],
  ["without a beginning", { sinceMs: undefined }, "since"],
  ["that ends before it begins", { untilMs: nowMs - 7 * hourMs }, "since"],
  ["of what has not happened yet", { untilMs: nowMs + 1 }, "until"],
  ["of last month", { sinceMs: nowMs - 32 * 24 * hourMs }, "since"],
  ["that has to be done at once", { deadlineSeconds: 1 }, "deadline_seconds"],
  ["that may take for ever", { deadlineSeconds: 86_400 }, "deadline_seconds"],
];
for (const [name, change, field] of wrong) {
  test(`a backtest ${name} is refused, and ${field} is named`, () => {
    const read = parseBacktest({ ...raw, ...change }, nowMs);
    assert.ok(!read.ok && read.refusal.kind === "invalid");
    assert.deepEqual(
      read.refusal.problems.map((problem) => problem.field),
      [field],
    );
  });
}

const ends = { deadlineMs: nowMs, isCanceled: false, isFinished: false };
const states = [
  [ends, nowMs - 1, "running"],
  [ends, nowMs, "late"],
  [{ ...ends, isCanceled: true }, nowMs + 1, "canceled"],
  [{ ...ends, isFinished: true }, nowMs + 1, "done"],
] as const;
for (const [stored, at, state] of states) {
  test(`a backtest ${JSON.stringify(stored)} is ${state} ${at - nowMs} ms after its deadline`, () => {
    assert.equal(backtestState(stored, at), state);
  });
}
