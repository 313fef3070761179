import assert from "node:assert/strict";
import { wholeFleet } from "./scope.ts";
import { test } from "node:test";
import * as fc from "fast-check";

import { usualSpec } from "../../test/support/rollout-world.ts";
import { makeId, type Digest, type RolloutId } from "./ids.ts";
import { planAbort, planResume, planUndo } from "./rollout-decisions.ts";
import type { ClusterChange, RolloutCluster } from "./rollout-cluster.ts";
import type { AgentView } from "./rollout-proof.ts";
import { planStep } from "./rollout-step.ts";
import { isFinished, stepRollout, type Rollout, type RolloutEvent } from "./rollout.ts";

const digestOf = (digit: string) => `sha256:${digit.repeat(64)}` as Digest;
const [before, after] = [digestOf("a"), digestOf("b")];
const id: RolloutId = makeId("rollout", new Uint8Array(10));

interface World {
  rollout: Rollout;
  clusters: RolloutCluster[];
  nowMs: number;
}

function world(waves: readonly number[], spec: Partial<Rollout["spec"]> = {}): World {
  const clusters = waves.flatMap((size, wave) =>
    Array.from({ length: size }, (_, i) => cluster(`w${wave}-${i}`, wave)),
  );
  const names = waves.map((_, i) => ({ name: `wave ${i}`, ...(i === 0 ? { startedAtMs: 1000 } : {}) }));
  return { rollout: { ...rollout, waves: names, spec: { ...rollout.spec, ...spec } }, clusters, nowMs: 1000 };
}

const rollout: Rollout = {
  id,
  spec: { ...usualSpec, soakSeconds: 10, deadlineSeconds: 60 },
  digest: after,
  state: "running",
  because: "",
  wave: 0,
  generation: 1n,
  planDigest: "",
  waves: [],
  createdBy: "somebody",
  scope: wholeFleet,
  createdAtMs: 1000,
};

function cluster(name: string, wave: number): RolloutCluster {
  const agent: AgentView = {
    name: "node-1",
    silent: false,
    observedGeneration: 1n,
    running: before,
    provedGeneration: 1n,
  };
  return {
    id: `cl_${name}`,
    name,
    wave,
    state: "waiting",
    reason: "",
    previous: before,
    previousListed: true,
    generation: 0n,
    retired: false,
    assignment: { generation: 1n, digest: before },
    agents: [agent],
  };
}

/** What the store does with a step: applies all of it and nothing else. */
function execute(at: World, changes: readonly ClusterChange[], event?: RolloutEvent, because = ""): void {
  at.clusters = at.clusters.map((cluster) => {
    const change = changes.find((each) => each.id === cluster.id);
    return change === undefined ? cluster : changed(cluster, change, at.nowMs);
  });
  if (event === undefined) return;
  const next = stepRollout(at.rollout, event, because, at.nowMs);
  assert.ok(next.ok, `the planner asked for an illegal step: ${at.rollout.state} on ${event}`);
  at.rollout = next.value;
}

function changed(cluster: RolloutCluster, change: ClusterChange, nowMs: number): RolloutCluster {
  const { provedAtMs, ...rest } = cluster;
  const proved = change.assign === undefined && (change.to === "proved" || change.to === "reverted");
  const base = { ...rest, state: change.to, reason: change.reason };
  if (change.assign === undefined) {
    return { ...base, ...(proved ? { provedAtMs: nowMs } : provedAtMs === undefined ? {} : { provedAtMs }) };
  }
  const generation = cluster.assignment.generation + 1n;
  const given = change.assign === null ? {} : { digest: change.assign };
  const assignment = { generation, rolloutId: id, ...given };
  return { ...base, generation, assignedAtMs: nowMs, assignment };
}

/** Steps until nothing more happens at this moment. */
function settle(at: World): void {
  for (let i = 0; i < 100; i += 1) {
    const step = planStep(at);
    if (step.changes.length === 0 && step.event === undefined) return;
    execute(at, step.changes, step.event, step.because);
  }
  assert.fail("the planner never came to rest");
}

function report(at: World, index: number, view: Partial<AgentView>): void {
  at.clusters = at.clusters.map((cluster, i) =>
    i === index ? { ...cluster, agents: cluster.agents.map((agent) => ({ ...agent, ...view })) } : cluster,
  );
}

function prove(at: World, index: number, digest: Digest = after): void {
  const provedGeneration = at.clusters[index]!.assignment.generation;
  report(at, index, { running: digest, provedGeneration, observedGeneration: provedGeneration });
}

function reject(at: World, index: number, generation: bigint): void {
  const attempt = { digest: after, generation, phase: "rejected", reason: "trust/hash-mismatch", detail: "" };
  report(at, index, { attempt });
}

const states = (at: World) => at.clusters.map((cluster) => cluster.state);

test("planStep() begins the next wave only when the one before has proved and soaked", () => {
  const at = world([1, 2]);
  settle(at);
  assert.deepEqual(states(at), ["assigned", "waiting", "waiting"]);
  prove(at, 0);
  settle(at);
  assert.deepEqual(states(at), ["proved", "waiting", "waiting"]);
  at.nowMs += 9_999;
  settle(at);
  assert.deepEqual(states(at), ["proved", "waiting", "waiting"]);
  at.nowMs += 1;
  settle(at);
  assert.deepEqual(states(at), ["proved", "assigned", "assigned"]);
});

test("planStep() begins a wave of a thousand with two hundred, whose agents work while the others are assigned", () => {
  const at = world([1_000]);
  for (const out of [200, 1_000]) {
    execute(at, planStep(at).changes);
    assert.equal(states(at).filter((state) => state === "assigned").length, out);
  }
  assert.equal(planStep(world([400])).changes.length, 400);
});

test("planStep() takes no proof of the same digest that was signed before the assignment", () => {
  const at = world([1]);
  report(at, 0, { running: after, provedGeneration: 1n });
  settle(at);
  assert.deepEqual(states(at), ["assigned"]);
});

test("planStep() waits for every agent of a cluster", () => {
  const at = world([1]);
  const second = { ...at.clusters[0]!.agents[0]!, name: "node-2" };
  at.clusters[0] = { ...at.clusters[0]!, agents: [...at.clusters[0]!.agents, second] };
  settle(at);
  const { generation } = at.clusters[0];
  const [first] = at.clusters[0].agents;
  at.clusters[0] = {
    ...at.clusters[0],
    agents: [{ ...first!, running: after, provedGeneration: generation }, second],
  };
  settle(at);
  assert.deepEqual(states(at), ["assigned"]);
  assert.match(planStep(at).because, /w0-0 \(agent "node-2" has not seen the assignment yet\)/);
});

test("planStep() does not let a wave pass while a proved cluster is silent, and fails it after the deadline", () => {
  const at = world([2], { failuresMax: 1 });
  settle(at);
  prove(at, 0);
  prove(at, 1);
  settle(at);
  report(at, 0, { silent: true });
  at.nowMs += 10_000;
  settle(at);
  assert.equal(at.rollout.state, "running");
  assert.match(planStep(at).because, /waits to hear again of w0-0 \(agent "node-1" is silent\)/);
  at.nowMs += 60_000;
  settle(at);
  assert.deepEqual(states(at), ["failed", "proved"]);
  assert.equal(at.rollout.state, "succeeded");
});

test("planStep() sends a cluster that rejects the bundle back and stops with its reason", () => {
  const at = world([1, 1]);
  settle(at);
  reject(at, 0, at.clusters[0]!.generation);
  settle(at);
  assert.equal(at.rollout.state, "paused");
  assert.match(at.rollout.because, /w0-0 \(agent "node-1" rejected it: trust\/hash-mismatch\)/);
  assert.equal(at.clusters[0]?.assignment.digest, before);
});

test("planStep() ignores a rejection of an older assignment of the same bundle", () => {
  const at = world([1]);
  reject(at, 0, 1n);
  settle(at);
  assert.deepEqual(states(at), ["assigned"]);
});

test("planStep() stops at a wave of which nothing proved, even when so many failures are allowed", () => {
  const at = world([1, 3], { failuresMax: 2 });
  settle(at);
  at.nowMs += 60_000;
  settle(at);
  assert.equal(at.rollout.state, "paused");
  assert.match(at.rollout.because, /no cluster of "wave 0" proved: w0-0 \(did not prove within 60 s/);
});

test("a resumed rollout tries the failed clusters again, and an old rejection does not fail them", () => {
  const at = world([1]);
  settle(at);
  reject(at, 0, at.clusters[0]!.generation);
  settle(at);
  execute(at, planResume(at), "resume");
  settle(at);
  assert.deepEqual(states(at), ["assigned"]);
  prove(at, 0);
  settle(at);
  at.nowMs += 10_000;
  settle(at);
  assert.equal(at.rollout.state, "succeeded");
});

test("a rollout with the roll-back policy sends every cluster back and ends when all proved it", () => {
  const at = world([1, 2], { onFailure: "roll-back", soakSeconds: 0 });
  settle(at);
  prove(at, 0);
  settle(at);
  reject(at, 1, at.clusters[1]!.generation);
  settle(at);
  assert.deepEqual(states(at), ["reverted", "failed", "reverted"]);
  assert.equal(at.rollout.state, "rolling-back");
  for (const index of [0, 2]) prove(at, index, before);
  settle(at);
  assert.match(planStep(at).because, /waits for 1 cluster to prove what they ran before: w1-0/);
  prove(at, 1, before);
  settle(at);
  assert.equal(at.rollout.state, "rolled-back");
});

test("a rolled-back rollout is not held up for ever by a cluster that stays silent", () => {
  const at = world([1], { soakSeconds: 0 });
  settle(at);
  const undo = planUndo(at);
  assert.ok(undo.ok);
  execute(at, undo.value.changes, "undo");
  settle(at);
  assert.equal(at.rollout.state, "rolling-back");
  at.nowMs += 60_000;
  settle(at);
  assert.equal(at.rollout.state, "rolled-back");
  assert.match(at.rollout.because, /not proved by w0-0/);
});

test("planAbort() sends back who was assigned and lets who proved keep the bundle", () => {
  const at = world([2]);
  settle(at);
  prove(at, 0);
  settle(at);
  assert.deepEqual(planAbort(at), [
    { id: "cl_w0-1", to: "reverted", assign: before, reason: "the rollout was aborted before it proved" },
  ]);
});

test("planUndo() leaves clusters that a later rollout moved on or that ran nothing before, and names them", () => {
  const at = world([3]);
  settle(at);
  const later = "ro_later" as RolloutId;
  at.clusters[0] = { ...at.clusters[0]!, assignment: { generation: 9n, rolloutId: later } };
  const { previous: _none, ...bare } = at.clusters[1]!;
  at.clusters[1] = bare;
  const undo = planUndo(at);
  assert.ok(undo.ok);
  assert.deepEqual(
    undo.value.changes.map((change) => [change.id, change.to]),
    [
      ["cl_w0-2", "reverted"],
      ["cl_w0-0", "removed"],
    ],
  );
  assert.match(undo.value.because, /w0-0 \(rollout ro_later has it now\), w0-1 \(ran nothing before\)/);
});

test("planUndo() refuses when the bundle to go back to is no longer released", () => {
  const at = world([1]);
  settle(at);
  at.clusters[0] = { ...at.clusters[0]!, previousListed: false };
  const undo = planUndo(at);
  assert.ok(!undo.ok && undo.refusal.kind === "precondition");
  assert.match(undo.refusal.why, /no longer lists/);
});

type Move = readonly [
  "prove" | "stale" | "reject" | "old-reject" | "silence" | "return" | "retire" | "wait",
  number,
];

const moves = fc.array(
  fc.tuple(
    fc.constantFrom<Move[0]>(
      "prove",
      "prove",
      "stale",
      "reject",
      "old-reject",
      "silence",
      "return",
      "retire",
      "wait",
    ),
    fc.nat(),
  ),
  { maxLength: 60 },
);

function move(at: World, [kind, n]: Move): void {
  const index = n % at.clusters.length;
  const target = at.clusters[index]!;
  if (kind === "prove") prove(at, index, target.assignment.digest ?? before);
  if (kind === "stale") report(at, index, { running: after, provedGeneration: target.generation - 1n });
  if (kind === "reject") reject(at, index, target.generation);
  if (kind === "old-reject") reject(at, index, target.generation - 1n);
  if (kind === "silence") report(at, index, { silent: true });
  if (kind === "return") report(at, index, { silent: false });
  if (kind === "retire") at.clusters[index] = { ...target, retired: true };
  if (kind === "wait") at.nowMs += (n % 40) * 1000;
}

/** No cluster is given the bundle while one of an earlier wave is undecided or nothing of that wave proved. */
function assertInOrder(at: World, changes: readonly ClusterChange[]): void {
  for (const change of changes.filter((each) => each.to === "assigned")) {
    const wave = at.clusters.find((cluster) => cluster.id === change.id)!.wave;
    const earlier = at.clusters.filter((cluster) => cluster.wave < wave && cluster.state !== "removed");
    assert.ok(earlier.every((cluster) => cluster.state === "proved" || cluster.state === "failed"));
  }
}

const failed = (at: World) => at.clusters.filter((cluster) => cluster.state === "failed").length;

test("whatever arrives: never out of order, nothing given to another cluster after too many failures, always an end", () => {
  const spec = fc.record({
    failuresMax: fc.integer({ min: 0, max: 3 }),
    soakSeconds: fc.constantFrom(0, 10),
    onFailure: fc.constantFrom("pause", "roll-back"),
  });
  const waves = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(waves, spec, moves, (sizes, chosen, arriving) => {
      const at = world(sizes, chosen);
      const advance = () => {
        for (
          let step = planStep(at);
          step.changes.length > 0 || step.event !== undefined;
          step = planStep(at)
        ) {
          assertInOrder(at, step.changes);
          const gives = step.changes.some((change) => change.to === "assigned");
          if (gives) assert.ok(failed(at) <= chosen.failuresMax, `${failed(at)} failed, and it went on`);
          execute(at, step.changes, step.event, step.because);
        }
        // Who proved may be lost later, all at once; that stops the rollout, but nothing can keep it from happening.
        const goesOn = at.rollout.state === "running";
        assert.ok(!goesOn || failed(at) <= chosen.failuresMax, `${failed(at)} failed, and it runs`);
      };
      advance();
      for (const each of arriving) {
        const ended = isFinished(at.rollout.state) ? at.rollout : undefined;
        move(at, each);
        advance();
        if (ended !== undefined) assert.equal(at.rollout, ended, "a finished rollout moved");
      }
      for (let i = 0; i < 40 && ["running", "rolling-back"].includes(at.rollout.state); i += 1) {
        at.nowMs += 30_000;
        advance();
      }
      assert.ok(!["running", "rolling-back"].includes(at.rollout.state), "it never came to an end");
    }),
    {
      numRuns: 400,
      // Everybody who proved goes silent: two fail at once.
      examples: [
        [
          [1, 1],
          { failuresMax: 0, soakSeconds: 0, onFailure: "pause" },
          [
            ["silence", 1],
            ["prove", 0],
            ["silence", 0],
            ["prove", 1],
          ],
        ],
      ],
    },
  );
});
