import assert from "node:assert/strict";
import { test } from "node:test";

import {
  after,
  before,
  clusterOf,
  execute,
  settle,
  start,
  usualSpec,
  type World,
} from "../../test/support/rollout-world.ts";
import { planResume } from "./rollout-decisions.ts";
import type { RolloutSpec } from "./rollout-spec.ts";
import { planStep } from "./rollout-step.ts";
import type { AgentView } from "./rollout-proof.ts";

/** What happens to a wave that cannot go on at once: it is held by the hour, or was paused, or clusters come and go meanwhile. */

const minute = 60_000;
const hour = 60 * minute;
const spec: RolloutSpec = {
  ...usualSpec,
  soakSeconds: 600,
};

/** Clusters of one region: a canary of one, and the rest. */
function fleetOf(size: number, more: Partial<RolloutSpec> = {}): World {
  const fleet = Array.from({ length: size }, (_, i) => ({
    id: `cl_${i}`,
    name: `c-${i}`,
    labels: { region: "eu" },
    silent: false,
    assigned: before,
    running: before,
  }));
  const at = start({ ...spec, ...more }, fleet);
  settle(at);
  return at;
}

function report(at: World, index: number, view: Partial<AgentView>): void {
  at.clusters = at.clusters.map((cluster, i) =>
    i === index ? { ...cluster, agents: cluster.agents.map((agent) => ({ ...agent, ...view })) } : cluster,
  );
}

function prove(at: World, index: number): void {
  const { digest = before, generation } = at.clusters[index]!.assignment;
  report(at, index, { running: digest, provedGeneration: generation, observedGeneration: generation });
}

function later(at: World, ms: number): void {
  at.nowMs += ms;
  settle(at);
}

const freeze = { reason: "weekend", by: "ada" };
const states = (at: World) => at.clusters.map(({ state }) => state);

/** A canary that has proved and soaked, while a freeze keeps the next wave from beginning. */
function held(more: Partial<RolloutSpec> = {}): World {
  const at = fleetOf(2, more);
  prove(at, 0);
  settle(at);
  at.freeze = freeze;
  later(at, 10 * minute);
  assert.match(planStep(at).because, /"canary eu" is done; .* does not begin: the fleet is frozen/);
  return at;
}

test("a dead cluster that failed, was retired and left the count does not stop a rollout for ever", () => {
  const at = fleetOf(3, {
    soakSeconds: 0,
    strategy: { stages: [], steps: [{ count: 2 }], offline: "count" },
  });
  prove(at, 1);
  later(at, 10 * minute);
  assert.deepEqual([at.rollout.state, ...states(at)], ["paused", "failed", "proved", "waiting"]);
  at.clusters[0] = { ...at.clusters[0]!, retired: true };
  execute(at, planResume(at), "resume");
  settle(at);
  assert.deepEqual([at.rollout.state, ...states(at)], ["running", "removed", "proved", "assigned"]);
  prove(at, 2);
  settle(at);
  assert.equal(at.rollout.state, "succeeded");
});

test("an agent that restarts while a wave waits for its window does not fail the wave, and the next begins when it is back", () => {
  const at = held();
  report(at, 0, { silent: true, lastSeenMs: at.nowMs + 20 * hour });
  later(at, 20 * hour + 61_000);
  assert.equal(at.rollout.state, "running");
  // The window opens while it is still silent: it has its deadline, from when it was last heard of.
  delete at.freeze;
  settle(at);
  assert.deepEqual([at.rollout.state, ...states(at)], ["running", "proved", "waiting"]);
  assert.match(planStep(at).because, /waits to hear again of c-0 .*; fails at \d{4}-.* unless that is over/);
  report(at, 0, { silent: false });
  settle(at);
  assert.deepEqual(states(at), ["proved", "assigned"]);
});

test("a canary that fell silent while its wave was held fails it when the next is to begin: silence is never health", () => {
  const at = held();
  report(at, 0, { silent: true, lastSeenMs: at.nowMs });
  later(at, 20 * hour);
  assert.equal(at.rollout.state, "running");
  delete at.freeze;
  settle(at);
  assert.deepEqual([at.rollout.state, ...states(at)], ["paused", "failed", "waiting"]);
});

test("rates of a weekend do not stop a wave that has passed and waits for its window; a refusal and bad health do", () => {
  const gates = [
    { name: "ingest", limit: 0.5 },
    { name: "health", limit: 0.05 },
  ] as const;
  const at = held({ gates });
  const say = (gate: "ingest" | "health", state: "waits" | "fails") =>
    planStep({
      ...at,
      nowMs: at.nowMs + 40 * hour,
      gates: {
        judgedAtMs: at.nowMs + 40 * hour,
        verdicts: [{ gate, state, measured: "", limit: "", words: "because" }],
      },
    });
  assert.equal(say("ingest", "waits").event, undefined);
  assert.equal(say("ingest", "fails").event, undefined);
  assert.equal(say("health", "fails").event, "fail-and-pause");
  const attempt = { digest: after, phase: "rolled-back", reason: "soak/crash-loop", detail: "" };
  report(at, 0, { attempt: { ...attempt, generation: at.clusters[0]!.generation } });
  later(at, hour);
  assert.deepEqual([at.rollout.state, ...states(at)], ["paused", "failed", "waiting"]);
});

test("a wave that had passed is judged anew when somebody resumes the rollout", () => {
  const at = held({ gates: [{ name: "ingest", limit: 0.5 }] });
  execute(at, [], "pause");
  later(at, hour);
  execute(at, planResume(at), "resume");
  at.verdict = "fails";
  settle(at);
  assert.equal(at.rollout.state, "paused");
});

test("a rollout that is resumed while an agent is silent for a moment gives it the deadline from then on", () => {
  const at = fleetOf(2);
  prove(at, 0);
  settle(at);
  execute(at, [], "pause");
  at.nowMs += 24 * hour;
  report(at, 0, { silent: true, lastSeenMs: at.nowMs - 61_000 });
  execute(at, planResume(at), "resume");
  settle(at);
  assert.deepEqual([at.rollout.state, ...states(at)], ["running", "proved", "waiting"]);
  later(at, 10 * minute - 1);
  assert.equal(at.rollout.state, "running");
  later(at, 1);
  assert.deepEqual([at.rollout.state, ...states(at)], ["paused", "failed", "waiting"]);
});

test("a node that joins a proved cluster late in the soak has the deadline from its enrolment to prove", () => {
  const at = fleetOf(2, { soakSeconds: 3600 });
  prove(at, 0);
  settle(at);
  at.nowMs += 90 * minute;
  const [first] = at.clusters[0]!.agents;
  const second: AgentView = {
    name: "node-2",
    silent: false,
    enrolledMs: at.nowMs - minute,
    // Whose process ends again and again has no more time for that.
    connectedMs: at.nowMs + 5 * minute,
    observedGeneration: 0n,
    provedGeneration: 0n,
  };
  at.clusters[0] = { ...at.clusters[0]!, agents: [first!, second] };
  settle(at);
  assert.equal(at.rollout.state, "running");
  later(at, 9 * minute);
  assert.equal(at.rollout.state, "paused");
});

test("an agent that comes back into a soak with an older proof has the deadline from when it connected", () => {
  const at = fleetOf(2, { soakSeconds: 3600 });
  prove(at, 0);
  settle(at);
  at.nowMs += 90 * minute;
  const [first] = at.clusters[0]!.agents;
  const back: AgentView = {
    name: "node-2",
    silent: false,
    enrolledMs: -400 * 24 * hour,
    connectedMs: at.nowMs - minute,
    observedGeneration: 1n,
    running: before,
    provedGeneration: 1n,
  };
  at.clusters[0] = { ...at.clusters[0]!, agents: [first!, back] };
  settle(at);
  assert.equal(at.rollout.state, "running");
  assert.match(planStep(at).because, /waits to hear again of c-0 \(agent "node-2"/);
  later(at, 9 * minute);
  assert.equal(at.rollout.state, "paused");
});

test("a rollback names the agents that left with the bad bundle, which whoever starts them should know", () => {
  const at = fleetOf(2, { onFailure: "roll-back" });
  at.clusters[0] = { ...at.clusters[0]!, leftWith: ["node-2"] };
  report(at, 0, {
    attempt: {
      digest: after,
      generation: at.clusters[0].generation,
      phase: "rolled-back",
      reason: "soak/crash-loop",
      detail: "",
    },
  });
  settle(at);
  const named = /; who left with the bundle starts with it until it is heard of: "node-2" of c-0$/;
  assert.equal(at.rollout.state, "rolling-back");
  assert.match(planStep(at).because, named);
  prove(at, 0);
  assert.match(planStep(at).because, named);
});

test("one cluster that is onboarded while a rollout runs does not begin its soak anew, and fails it only as any failure does", () => {
  const at = fleetOf(5, { failuresMax: 1 });
  at.clusters = [...at.clusters, { ...clusterOf("cl_new", "new", 0, false, before), late: true }];
  const newcomer = at.clusters.length - 1;
  prove(at, 0);
  settle(at);
  later(at, 10 * minute);
  // Its wave is done: it gets the bundle beside the next.
  assert.deepEqual(states(at), ["proved", "assigned", "assigned", "assigned", "waiting", "assigned"]);
  for (const index of [1, 2, 3]) prove(at, index);
  settle(at);
  later(at, 9 * minute);
  prove(at, newcomer);
  settle(at);
  later(at, minute);
  assert.equal(at.rollout.wave, 2);
  report(at, newcomer, { silent: true, lastSeenMs: at.nowMs });
  prove(at, 4);
  settle(at);
  later(at, 10 * minute);
  assert.equal(at.rollout.state, "succeeded");
});

test("a retry that the hour holds back keeps the wave neither from passing nor from being judged, and begins when it may", () => {
  const at = fleetOf(5, {
    failuresMax: 1,
    gates: [{ name: "ingest", limit: 0.5 }],
    strategy: { stages: [], steps: [{ count: 3 }, { percent: 100 }], offline: "count" },
  });
  at.verdict = "waits";
  prove(at, 0);
  prove(at, 1);
  settle(at);
  later(at, 10 * minute);
  assert.deepEqual(states(at), ["proved", "proved", "failed", "waiting", "waiting"]);
  execute(at, [], "pause");
  at.freeze = freeze;
  execute(at, planResume(at), "resume");
  later(at, minute);
  assert.match(planStep(at).because, /gate ingest waits/, "its others are judged while it is held");
  at.verdict = "holds";
  settle(at);
  assert.notEqual(at.rollout.waves[0]?.passedAtMs, undefined);
  assert.match(planStep(at).because, /is done; c-2 of .* does not begin again: the fleet is frozen/);
  // What gates do not see in the days of the freeze is not held against it, whatever becomes of the retry.
  at.verdict = "waits";
  later(at, 40 * hour);
  delete at.freeze;
  settle(at);
  assert.deepEqual(states(at), ["proved", "proved", "assigned", "waiting", "waiting"]);
  later(at, 10 * minute);
  assert.deepEqual([at.rollout.state, states(at)[2], at.rollout.wave], ["running", "failed", 1]);
});

test("the last wave does not end while a retry of it is held back, and ends when that has proved", () => {
  const at = fleetOf(2, {
    failuresMax: 1,
    soakSeconds: 0,
    strategy: { stages: [], steps: [{ percent: 100 }], offline: "count" },
  });
  prove(at, 0);
  settle(at);
  execute(at, [], "pause");
  later(at, 10 * minute);
  assert.deepEqual([at.rollout.state, ...states(at)], ["paused", "proved", "failed"]);
  at.freeze = freeze;
  execute(at, planResume(at), "resume");
  later(at, hour);
  assert.deepEqual([at.rollout.state, ...states(at)], ["running", "proved", "waiting"]);
  delete at.freeze;
  settle(at);
  prove(at, 1);
  settle(at);
  assert.deepEqual([at.rollout.state, ...states(at)], ["succeeded", "proved", "proved"]);
});

test("a cluster that is onboarded during a freeze gets the bundle when that is over, and holds up no wave meanwhile", () => {
  const at = fleetOf(5);
  prove(at, 0);
  settle(at);
  later(at, 10 * minute);
  assert.equal(at.rollout.wave, 1);
  at.freeze = freeze;
  at.clusters = [...at.clusters, { ...clusterOf("cl_new", "new", 0, false, before), late: true }];
  const newcomer = at.clusters.length - 1;
  settle(at);
  assert.equal(states(at)[newcomer], "waiting");
  for (const index of [1, 2, 3]) prove(at, index);
  settle(at);
  later(at, 10 * minute);
  assert.equal(states(at)[newcomer], "waiting");
  assert.match(planStep(at).because, /is done; ".*" does not begin: the fleet is frozen/);
  delete at.freeze;
  settle(at);
  assert.deepEqual([states(at)[newcomer], at.rollout.wave], ["assigned", 2]);
});

test("an agent that runs nothing for a moment when a freeze ends has the deadline from then, and so has its health", () => {
  const at = held({ gates: [{ name: "health", limit: 0.05 }] });
  const { running: _nothing, ...restarting } = at.clusters[0]!.agents[0]!;
  const agents = [{ ...restarting, enrolledMs: -400 * 24 * hour }];
  at.clusters[0] = { ...at.clusters[0]!, agents };
  later(at, 40 * hour);
  delete at.freeze;
  settle(at);
  assert.deepEqual([at.rollout.state, ...states(at)], ["running", "proved", "waiting"]);
  later(at, 10 * minute - 1);
  assert.equal(at.rollout.state, "running");
  // Frozen again, it is held once more, and once more has its time.
  at.freeze = freeze;
  later(at, 20 * hour);
  delete at.freeze;
  later(at, minute);
  assert.equal(at.rollout.state, "running");
  prove(at, 0);
  at.verdict = "waits";
  settle(at);
  assert.match(planStep(at).because, /gate health waits/);
  assert.deepEqual([at.rollout.wave, ...states(at)], [0, "proved", "waiting"]);
  later(at, 9 * minute - 1);
  assert.equal(at.rollout.state, "running", "its health cannot be told, and nothing begins on that");
  later(at, 1 + minute);
  assert.equal(at.rollout.state, "paused");
});
