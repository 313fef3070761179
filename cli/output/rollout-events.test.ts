import assert from "node:assert/strict";
import { test } from "node:test";
import { newsBetween } from "./rollout-events.ts";
import type { RolloutProgress } from "./rollout.ts";

const before: RolloutProgress = {
  id: "ro_1",
  kind: "rules",
  bundle: "starter@1.0.0",
  state: "running",
  because: "",
  wave: 0,
  waves: [
    { name: "canary eu", startedAt: 1, clusters: [{ name: "eu-1", step: "assigned", reason: "applying" }] },
    { name: "us", clusters: [{ name: "us-1", step: "waiting", reason: "" }] },
  ],
};

test("newsBetween() tells each change once, in the order of the waves, and nothing when nothing is new", () => {
  assert.deepEqual(newsBetween(undefined, before), [
    { event: "wave", wave: 1, name: "canary eu", phase: "begun" },
    { event: "cluster", cluster: "eu-1", wave: 1, from: "waiting", to: "assigned", reason: "applying" },
    { event: "state", state: "running", because: "" },
  ]);
  assert.deepEqual(newsBetween(before, before), []);
  const after: RolloutProgress = {
    ...before,
    state: "paused",
    because: "eu-1 failed",
    waves: before.waves.map((wave, index) =>
      index === 0 ? { ...wave, clusters: [{ name: "eu-1", step: "failed", reason: "no" }] } : wave,
    ),
  };
  assert.deepEqual(newsBetween(before, after), [
    { event: "cluster", cluster: "eu-1", wave: 1, from: "assigned", to: "failed", reason: "no" },
    { event: "state", state: "paused", because: "eu-1 failed" },
  ]);
});
