import assert from "node:assert/strict";
import { wholeFleet } from "./scope.ts";
import { test } from "node:test";
import * as fc from "fast-check";

import { usualSpec } from "../../test/support/rollout-world.ts";
import { makeId, type Digest } from "./ids.ts";
import {
  atGeneration,
  rolloutEvents,
  rolloutStates,
  stepRollout,
  type Rollout,
  type RolloutEvent,
  type RolloutState,
} from "./rollout.ts";

const rollout: Rollout = {
  id: makeId("rollout", new Uint8Array(10)),
  spec: usualSpec,
  digest: `sha256:${"0".repeat(64)}` as Digest,
  state: "running",
  because: "",
  wave: 0,
  generation: 7n,
  planDigest: "",
  waves: [{ name: "canary eu", startedAtMs: 1 }, { name: "eu 2 of 2" }],
  createdBy: "somebody",
  scope: wholeFleet,
  createdAtMs: 1,
};

const legal: Record<string, RolloutState> = {
  "running pause": "paused",
  "running abort": "aborted",
  "running undo": "rolling-back",
  "running shadow-done": "running",
  "running shadow-done-and-pause": "paused",
  "running wave-passed": "running",
  "running wave-freed": "running",
  "running wave-done": "running",
  "running last-wave-done": "succeeded",
  "running fail-and-pause": "paused",
  "running fail-and-roll-back": "rolling-back",
  "paused resume": "running",
  "paused abort": "aborted",
  "paused undo": "rolling-back",
  "rolling-back all-reverted": "rolled-back",
  "succeeded undo": "rolling-back",
  "aborted undo": "rolling-back",
  "paused wait-for-approval": "awaiting-approval",
  "paused wait-for-time": "scheduled",
  "awaiting-approval wait-for-time": "scheduled",
  "awaiting-approval plan-changed": "paused",
  "awaiting-approval begin": "running",
  "awaiting-approval reject": "aborted",
  "awaiting-approval abort": "aborted",
  "scheduled wait-for-approval": "awaiting-approval",
  "scheduled plan-changed": "paused",
  "scheduled begin": "running",
  "scheduled reject": "aborted",
  "scheduled abort": "aborted",
};

for (const state of rolloutStates) {
  for (const event of rolloutEvents) {
    const want = legal[`${state} ${event}`] ?? "refused";
    test(`stepRollout() takes ${state} on ${event} to ${want}`, () => {
      const got = stepRollout({ ...rollout, state }, event, "because", 9);
      assert.equal(got.ok ? got.value.state : "refused", want);
      if (got.ok) assert.equal(got.value.generation, 8n);
    });
  }
}

test("stepRollout() leaves a finished state only by an undo, whatever arrives", () => {
  const finished = fc.constantFrom<RolloutState>("succeeded", "aborted", "rolled-back");
  const events = fc.constantFrom<RolloutEvent>(...rolloutEvents.filter((event) => event !== "undo"));
  fc.assert(
    fc.property(finished, events, (state, event) => !stepRollout({ ...rollout, state }, event, "", 9).ok),
  );
});

test("stepRollout() stamps the wave that ends and the one that begins", () => {
  const got = stepRollout(rollout, "wave-done", "", 9);
  assert.ok(got.ok);
  assert.deepEqual(got.value.waves, [
    { name: "canary eu", startedAtMs: 1, finishedAtMs: 9 },
    { name: "eu 2 of 2", startedAtMs: 9 },
  ]);
  assert.equal(got.value.wave, 1);
});

test("stepRollout() opens a finished rollout again when it is undone, so that somebody works on it", () => {
  const got = stepRollout({ ...rollout, state: "succeeded", finishedAtMs: 5 }, "undo", "", 9);
  assert.ok(got.ok);
  assert.equal(got.value.finishedAtMs, undefined);
});

test("atGeneration() refuses a decision that was made on an older picture", () => {
  assert.ok(atGeneration(rollout, 7n).ok);
  assert.ok(!atGeneration(rollout, 6n).ok);
});
