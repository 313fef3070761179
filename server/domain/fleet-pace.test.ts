import assert from "node:assert/strict";
import { test } from "node:test";

import { fleetPace } from "./fleet-pace.ts";

const least = { reconnectWindowMs: 5_000, reportMs: 10_000 };

test("agents come back over a window that grows with the fleet, and within the two minutes that people wait", () => {
  const sizes = [0, 1, 500, 501, 1_000, 5_000, 10_000, 1_000_000];
  const windows = sizes.map((agents) => fleetPace(agents, least).reconnectWindowMs);
  assert.deepEqual(windows, [5_000, 5_000, 5_000, 10_000, 10_000, 50_000, 100_000, 100_000]);
  assert.equal(fleetPace(1, { ...least, reconnectWindowMs: 100 }).reconnectWindowMs, 5_000);
  assert.equal(fleetPace(0, { ...least, reconnectWindowMs: 100 }).reconnectWindowMs, 100);
});

test("no more rates come in a second than a server has time for, and no agent is quiet for longer than a heartbeat", () => {
  const reports = [0, 2_500, 2_501, 3_750, 5_000, 1_000_000].map(
    (agents) => fleetPace(agents, least).reportMs,
  );
  assert.deepEqual(reports, [10_000, 10_000, 15_000, 15_000, 20_000, 20_000]);
  assert.equal(fleetPace(0, { ...least, reportMs: 1_000 }).reportMs, 1_000);
});
