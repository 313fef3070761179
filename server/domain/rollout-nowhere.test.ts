import assert from "node:assert/strict";
import { test } from "node:test";

import { after, before, settle, start, usualSpec, type World } from "../../test/support/rollout-world.ts";
import type { AgentView } from "./rollout-proof.ts";
import { planStep } from "./rollout-step.ts";

function report(at: World, view: Partial<AgentView>): void {
  at.clusters = at.clusters.map((cluster, i) =>
    i === 0 ? { ...cluster, agents: cluster.agents.map((agent) => ({ ...agent, ...view })) } : cluster,
  );
}

test("a rollout whose one proof was followed by a failure, and whose other clusters left, has not succeeded", () => {
  const labels = { region: "eu", in: "yes" };
  const fleet = ["a", "b"].map((name) => ({
    id: `cl_${name}`,
    name,
    labels,
    silent: false,
    assigned: before,
    running: before,
  }));
  const at = start({ ...usualSpec, canary: 1, failuresMax: 1, soakSeconds: 0 }, fleet);
  settle(at);
  const generation = at.clusters[0]?.generation ?? 0n;
  report(at, { running: after, provedGeneration: generation, observedGeneration: generation });
  settle(at);
  assert.deepEqual(
    at.clusters.map(({ state }) => state),
    ["proved", "assigned"],
  );
  report(at, {
    attempt: { digest: after, generation, phase: "rejected", reason: "trust/hash-mismatch", detail: "" },
  });
  settle(at);
  assert.equal(at.rollout.state, "running", "one failure is allowed");
  at.clusters = at.clusters.map((cluster, i) => (i === 1 ? { ...cluster, retired: true } : cluster));
  const { because, event } = planStep(at);
  assert.equal(event, "fail-and-pause");
  assert.match(because, /^the bundle is proved nowhere: a \(/);
});
