import assert from "node:assert/strict";
import { test } from "node:test";
import { mayMount } from "../support/small-disk.ts";
import { play } from "./scenario.ts";
import type { Scale, Scenario } from "./scenario.ts";

const small: Scale = {
  records: 6000,
  recordsPerSecond: 3000,
  outageMs: 1500,
  backoff: { base: 0.2, cap: 1 },
};

/** A test that a fault costs no record, with a real agent process, counted by record id. */
export function losesNothing(scenario: Scenario): void {
  const skip = scenario.name.startsWith("disk") && !mayMount ? "only root may mount a small disk" : false;
  test(`no record is lost: ${scenario.name}`, { skip }, async (t) => {
    const { outcome, world } = await play(scenario, small);
    t.diagnostic(JSON.stringify(outcome));
    assert.deepEqual(outcome.lostIds, []);
    assert.ok(outcome.written >= small.records);
    if (scenario.parked !== undefined) assert.equal(outcome.parked, scenario.parked(world));
    const most = scenario.duplicatesMax?.(world);
    if (most !== undefined) assert.ok(outcome.duplicates <= most, `${outcome.duplicates} came twice`);
  });
}
