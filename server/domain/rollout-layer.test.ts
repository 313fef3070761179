/** A rollout of a layer that a team owns goes back to nothing where rules could not. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { after, execute, settle, start, usualSpec, type World } from "../../test/support/rollout-world.ts";
import { planUndo } from "./rollout-decisions.ts";
import type { AgentView } from "./rollout-proof.ts";
import { planStep } from "./rollout-step.ts";
import type { RolloutSpec } from "./rollout-spec.ts";

const spec: RolloutSpec = {
  ...usualSpec,
  kind: "layer/payments",
  bundle: "payments@1.0.0",
  deadlineSeconds: 60,
};

/** One cluster that never had the layer, and has been given it. */
function world(change: Partial<RolloutSpec> = {}): World {
  const at = start({ ...spec, ...change }, [{ id: "cl_0", name: "c-0", labels: {}, silent: false }]);
  at.clusters = at.clusters.map((cluster) => ({ ...cluster, mayEndWithout: true }));
  settle(at);
  return at;
}

function say(at: World, view: Partial<AgentView>, keepsRunning = true): void {
  at.clusters = at.clusters.map((cluster) => ({
    ...cluster,
    agents: cluster.agents.map(({ running, ...agent }) => ({
      ...agent,
      ...(keepsRunning && running !== undefined ? { running } : {}),
      ...view,
    })),
  }));
}

const generationOf = (at: World) => at.clusters[0]!.assignment.generation;

test("planUndo() takes a layer away that was nowhere before, and is done when agents report it no more", () => {
  const at = world();
  const given = generationOf(at);
  say(at, { running: after, provedGeneration: given, observedGeneration: given });
  settle(at);
  assert.equal(at.rollout.state, "succeeded");
  const undo = planUndo(at);
  assert.ok(undo.ok, "for rules there would be no way back");
  execute(at, undo.value.changes, "undo");
  assert.equal(at.clusters[0]!.assignment.digest, undefined);
  const taken = generationOf(at);
  say(at, { observedGeneration: taken });
  settle(at);
  assert.equal(at.rollout.state, "rolling-back", "it still runs");
  say(at, { observedGeneration: given }, false);
  settle(at);
  assert.equal(at.rollout.state, "rolling-back", "what was said before the undo proves nothing");
  say(at, { observedGeneration: taken }, false);
  settle(at);
  assert.equal(at.rollout.state, "rolled-back");
});

test("planStep() takes a layer away where its first release failed, and leaves no bad one assigned", () => {
  const at = world();
  const generation = generationOf(at);
  const attempt = { digest: after, generation, phase: "rejected", reason: "layer/beyond-terms", detail: "" };
  say(at, { attempt });
  settle(at);
  const [cluster] = at.clusters;
  assert.deepEqual([cluster?.state, cluster?.assignment.digest], ["failed", undefined]);
  assert.equal(at.rollout.state, "paused");
});

test("planStep() stops a rollout of what was taken back at once and says why, whatever its clusters wait for", () => {
  for (const [onFailure, state, cluster] of [
    ["pause", "paused", "assigned"],
    ["roll-back", "rolling-back", "reverted"],
  ] as const) {
    const at = world({ onFailure });
    const { changes, event, because } = planStep({ ...at, withdrawn: "the layer was taken back" });
    assert.equal(because, "the layer was taken back");
    execute(at, changes, event);
    assert.deepEqual([at.rollout.state, at.clusters[0]?.state], [state, cluster]);
  }
});

test("planStep() says that a layer was taken back, and not that clusters failed, when agents have refused it by then", () => {
  const at = world();
  const generation = generationOf(at);
  say(at, {
    attempt: { digest: after, generation, phase: "rejected", reason: "trust/not-delegated", detail: "" },
  });
  assert.doesNotMatch(planStep(at).because, /taken back/);
  const { changes, event, because } = planStep({ ...at, withdrawn: "the layer was taken back" });
  assert.equal(because, "the layer was taken back");
  execute(at, changes, event);
  assert.deepEqual([at.rollout.state, at.clusters[0]?.state], ["paused", "failed"]);
});
