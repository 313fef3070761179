import assert from "node:assert/strict";
import { test } from "node:test";
import type { V1DaemonSet } from "@kubernetes/client-node";
import type { Kube } from "./kube.ts";
import { rememberPods, rolloutStanding } from "./pods-before.ts";

const daemonSet = (generation: number, observed: number, updated: number): V1DaemonSet => ({
  metadata: { generation },
  status: {
    observedGeneration: observed,
    updatedNumberScheduled: updated,
    desiredNumberScheduled: 3,
    currentNumberScheduled: 3,
    numberMisscheduled: 0,
    numberReady: 3,
  },
});

for (const [what, set, said] of [
  [
    "was changed and the cluster has not seen it",
    daemonSet(2, 1, 3),
    "the cluster has not seen the change yet",
  ],
  ["still has pods of before", daemonSet(2, 2, 1), "pods replaced: 1 of 3"],
  ["was made a moment ago", { metadata: { generation: 1 } }, "the cluster has not seen the change yet"],
  ["is through with it", daemonSet(2, 2, 3), undefined],
] as const) {
  test(`old pods that run are not taken for the agents of now: a DaemonSet that ${what}`, () => {
    assert.equal(rolloutStanding(set), said);
  });
}

test("a run after an interrupted one goes on to wait until its pods are replaced, and then counts them as others", async () => {
  let there = daemonSet(2, 2, 1);
  const kube = {
    find: () => Promise.resolve(there),
    events: () => Promise.resolve([]),
    pods: () => Promise.resolve([]),
  } as Partial<Kube> as Kube;
  const before = await rememberPods(kube, "falconry");
  assert.equal(await before.rollout(), "pods replaced: 1 of 3");
  there = daemonSet(2, 2, 3);
  assert.equal(await before.rollout(), undefined);
  assert.equal(await before.wereReplaced(), true, "though nothing was changed by this run");
  const later = await rememberPods(kube, "falconry");
  assert.equal(await later.wereReplaced(), false);
});
