import assert from "node:assert/strict";
import { test } from "node:test";

import { reconnectWindowMs } from "./reconnect-window.ts";

test("agents come back over a window that grows with the fleet, and within the two minutes that people wait", () => {
  const windows = [0, 1, 500, 501, 1_000, 5_000, 10_000, 1_000_000].map((n) => reconnectWindowMs(n, 5_000));
  assert.deepEqual(windows, [5_000, 5_000, 5_000, 10_000, 10_000, 50_000, 100_000, 100_000]);
  assert.equal(reconnectWindowMs(1, 100), 5_000);
  assert.equal(reconnectWindowMs(0, 100), 100);
});
