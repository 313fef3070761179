import assert from "node:assert/strict";
import { test } from "node:test";

import { createDetectionTime } from "./detection-time.ts";

/** Reads with a thread that has used so much of a core by then. */
function timeFrom(startUs: number): (clockMs: number, cpuUs: number) => number {
  let used = startUs;
  const time = createDetectionTime(() => used);
  return (clockMs, cpuUs) => {
    used = cpuUs;
    return time.read(clockMs);
  };
}

test("on a node with a free core the clock says what rules took, whatever else the thread does", () => {
  const read = timeFrom(5_000);
  assert.equal(read(2, 15_000), 2_000);
  assert.equal(read(3, 45_000), 3_000);
});

test("on a busy node rules are not blamed for the time in which their thread had no core", () => {
  const read = timeFrom(0);
  assert.equal(read(1_000, 20_000), 20_000, "a second on the clock, of which the thread worked 20 ms");
  assert.equal(read(1_004, 120_000), 24_000, "what was spared once is not counted later");
});

test("the figure never goes back", () => {
  const read = timeFrom(100);
  assert.equal(read(1, 5_000), 1_000);
  assert.equal(read(1, 5_000), 1_000);
  assert.equal(read(1, 4_000), 1_000);
});
