import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";

import { makeId, type Digest, type RolloutId } from "./ids.ts";
import { planCatchUp } from "./rollout-catch-up.ts";
import type { ClusterChange, RolloutCluster } from "./rollout-cluster.ts";
import { planAbort, planResume, planUndo } from "./rollout-decisions.ts";
import { planRollout, type FleetCluster } from "./rollout-plan.ts";
import type { RolloutSpec } from "./rollout-spec.ts";
import { planStep } from "./rollout-step.ts";
import { stageOf, unavailableAllowed, type Share, type Strategy } from "./rollout-strategy.ts";
import { isSilent } from "./rollout-turn.ts";
import { placeLate } from "./rollout-waves.ts";
import { isFinished, stepRollout, type Rollout, type RolloutEvent } from "./rollout.ts";
import { wholeFleet } from "./scope.ts";

/**
 * The planner and the stepper together, in a world that the store and the agents would make of it: whatever arrives, in
 * whatever order, what is said below holds.
 */

const digestOf = (digit: string) => `sha256:${digit.repeat(64)}` as Digest;
const [before, after] = [digestOf("a"), digestOf("b")];
const id: RolloutId = makeId("rollout", new Uint8Array(10));

const share: fc.Arbitrary<Share> = fc.oneof(
  fc.integer({ min: 1, max: 5 }).map((count) => ({ count })),
  fc.integer({ min: 1, max: 100 }).map((percent) => ({ percent })),
);
const stage = (environment: string) =>
  fc.array(share, { maxLength: 3 }).map((steps) => ({
    name: environment,
    selector: [{ key: "environment", operator: "in", values: [environment] }] as const,
    steps,
  }));
const strategies: fc.Arbitrary<Strategy> = fc.record(
  {
    stages: fc.oneof(fc.constant([]), fc.tuple(stage("test"), stage("prod"))),
    steps: fc.array(share, { maxLength: 3 }),
    offline: fc.constantFrom("count", "wait", "skip"),
    unavailableMax: share,
    failuresPercentMax: fc.integer({ min: 1, max: 100 }),
  },
  { requiredKeys: ["stages", "steps", "offline"] },
);
const specs: fc.Arbitrary<RolloutSpec> = fc.record({
  kind: fc.constant("rules"),
  bundle: fc.constant(""),
  selector: fc.constant([{ key: "in", operator: "exists" }] as const),
  canary: fc.integer({ min: 1, max: 3 }),
  growth: fc.integer({ min: 1, max: 3 }),
  regionOrder: fc.constantFrom([], ["us", "eu"]),
  failuresMax: fc.integer({ min: 0, max: 3 }),
  soakSeconds: fc.constantFrom(0, 10),
  deadlineSeconds: fc.constant(60),
  onFailure: fc.constantFrom("pause", "roll-back"),
  strategy: strategies,
});
const fleets: fc.Arbitrary<readonly FleetCluster[]> = fc
  .array(
    fc.record({
      region: fc.constantFrom("eu", "us", "ap"),
      environment: fc.constantFrom("test", "prod", "lab"),
      silent: fc.boolean(),
      isNew: fc.boolean(),
    }),
    { minLength: 1, maxLength: 14 },
  )
  .map((each) =>
    each.map(({ region, environment, silent, isNew }, i) => ({
      id: `cl_${i}`,
      name: `c-${i}`,
      labels: { region, environment, in: "yes" },
      silent,
      ...(isNew ? {} : { assigned: before, running: before }),
    })),
  );

interface World {
  rollout: Rollout;
  clusters: RolloutCluster[];
  nowMs: number;
  readonly labels: Map<string, Readonly<Record<string, string>>>;
}

function start(spec: RolloutSpec, fleet: readonly FleetCluster[]): World {
  const plan = planRollout(spec, after, fleet);
  assert.ok(plan.ok);
  const silent = new Set(plan.value.silent);
  const clusters = plan.value.waves.flatMap(({ clusters: planned }, wave) =>
    planned.map(({ id: clusterId, name, previous }) =>
      clusterOf(clusterId, name, wave, silent.has(clusterId), previous),
    ),
  );
  const rollout: Rollout = {
    id,
    spec,
    digest: after,
    state: "running",
    because: "",
    wave: 0,
    generation: 1n,
    planDigest: "",
    waves: plan.value.waves.map(({ name, group }) => ({ name, group })),
    createdBy: "somebody",
    scope: wholeFleet,
    createdAtMs: 1000,
  };
  return { rollout, clusters, nowMs: 1000, labels: new Map(fleet.map((c) => [c.id, c.labels])) };
}

function clusterOf(
  clusterId: string,
  name: string,
  wave: number,
  silent: boolean,
  previous: Digest | undefined,
): RolloutCluster {
  const running = previous === undefined ? {} : { running: previous };
  return {
    id: clusterId,
    name,
    wave,
    state: "waiting",
    reason: "",
    ...(previous === undefined ? {} : { previous }),
    previousListed: previous !== undefined,
    generation: 0n,
    retired: false,
    assignment: { generation: 1n, ...(previous === undefined ? {} : { digest: previous }) },
    agents: [{ name: "node-1", silent, observedGeneration: 1n, provedGeneration: 1n, ...running }],
  };
}

/** What the store does: all of it, and proofs and times as its SQL has them. */
function execute(at: World, changes: readonly ClusterChange[], event?: RolloutEvent): void {
  checkChanges(at, changes);
  const byId = new Map(changes.map((change) => [change.id, change]));
  assert.equal(byId.size, changes.length, "a cluster is changed twice in one step");
  at.clusters = at.clusters.map((cluster) => {
    const change = byId.get(cluster.id);
    if (change === undefined) return cluster;
    const { provedAtMs, ...rest } = cluster;
    const base = { ...rest, state: change.to, reason: change.reason };
    if (change.assign === undefined) {
      const isProved = change.to === "proved" || change.to === "reverted";
      const stamp = provedAtMs ?? (isProved ? at.nowMs : undefined);
      return stamp === undefined ? base : { ...base, provedAtMs: stamp };
    }
    const generation = cluster.assignment.generation + 1n;
    return {
      ...base,
      generation,
      assignedAtMs: at.nowMs,
      assignment: { generation, digest: change.assign, rolloutId: id },
    };
  });
  if (event === undefined) return;
  const next = stepRollout(at.rollout, event, "", at.nowMs);
  assert.ok(next.ok, `the planner asked for an illegal step: ${at.rollout.state} on ${event}`);
  at.rollout = next.value;
}

function checkChanges(at: World, changes: readonly ClusterChange[]): void {
  const { rollout, clusters } = at;
  const find = (clusterId: string) => clusters.find((cluster) => cluster.id === clusterId);
  for (const { id: clusterId, assign } of changes) {
    // Never anything but the bundle of the rollout, or what the cluster had and targets metadata still lists.
    const cluster = find(clusterId);
    assert.ok(cluster !== undefined);
    if (assign === undefined || assign === after) continue;
    assert.ok(assign === cluster.previous && cluster.previousListed, "an unreleased digest was assigned");
  }
  const given = changes.filter((change) => change.to === "assigned" && change.assign === after);
  if (given.length === 0) return;
  const counted = clusters.filter((cluster) => cluster.state !== "removed").length;
  const unproved = clusters.filter(
    (cluster) => cluster.state === "assigned" && !changes.some((change) => change.id === cluster.id),
  ).length;
  const most = unavailableAllowed(rollout.spec, counted);
  assert.ok(unproved + given.length <= most, `${unproved + given.length} unproved, ${most} allowed`);
  assert.ok(rollout.state === "running" || rollout.state === "succeeded", `assigned while ${rollout.state}`);

  const offline = rollout.spec.strategy?.offline ?? "count";
  for (const change of given) {
    const cluster = find(change.id);
    assert.ok(cluster !== undefined);
    if (offline !== "count") assert.ok(!isSilent(cluster), `${cluster.name} is silent and was given it`);
    // Everybody of an earlier wave has been decided about, but for those that may be left for later.
    const open = clusters.filter(
      (c) => c.wave < cluster.wave && (c.state === "waiting" || c.state === "assigned"),
    );
    const mayBeOpen = (c: RolloutCluster) =>
      c.state === "waiting" && (c.late === true || (offline === "skip" && isSilent(c)));
    if (rollout.state === "running" && cluster.wave === rollout.wave) {
      const bad = open.filter((c) => !mayBeOpen(c) && !given.some(({ id: other }) => other === c.id));
      assert.deepEqual(
        bad.filter((c) => c.state === "waiting").map(({ name }) => name),
        [],
        `${cluster.name} came before its turn`,
      );
    }
    assert.ok(cluster.wave <= rollout.wave || rollout.state === "succeeded", "a wave that has not begun");
    if (cluster.late === true && rollout.state === "running") {
      const isLast = rollout.wave + 1 === rollout.waves.length;
      assert.ok(cluster.wave < rollout.wave || isLast, "a latecomer went before its wave");
    }
  }
}

function settle(at: World): void {
  for (let i = 0; i < 500; i += 1) {
    const step = planStep(at);
    const changes = at.rollout.state === "succeeded" ? planCatchUp(at) : step.changes;
    if (changes.length === 0 && step.event === undefined) return;
    execute(at, changes, step.event);
  }
  assert.fail("it never came to rest");
}

const kinds = [
  "prove",
  "prove",
  "stale",
  "twice",
  "reject",
  "old-reject",
  "silence",
  "return",
  "return",
  "retire",
  "stray",
  "join",
  "wait",
  "pause",
  "resume",
  "abort",
  "undo",
] as const;
type Move = readonly [(typeof kinds)[number], number];
const moves: fc.Arbitrary<readonly Move[]> = fc.array(
  fc.tuple(fc.constantFrom(...kinds), fc.nat({ max: 999 })),
  { maxLength: 60 },
);

type Agent = RolloutCluster["agents"][number];

function report(at: World, index: number, view: Partial<Agent>): void {
  at.clusters = at.clusters.map((cluster, i) =>
    i === index ? { ...cluster, agents: cluster.agents.map((agent) => ({ ...agent, ...view })) } : cluster,
  );
}

function prove(at: World, index: number): void {
  const { digest, generation } = at.clusters[index]?.assignment ?? {};
  if (digest === undefined || generation === undefined) return;
  report(at, index, { running: digest, provedGeneration: generation, observedGeneration: generation });
}

function attempt(at: World, index: number, generation: bigint): void {
  report(at, index, {
    attempt: { digest: after, generation, phase: "rejected", reason: "trust/hash-mismatch", detail: "" },
  });
}

function move(at: World, [kind, n]: Move): void {
  const index = at.clusters.length === 0 ? -1 : n % at.clusters.length;
  const target = at.clusters[index];
  if (kind === "wait") at.nowMs += (n % 40) * 1000;
  if (kind === "join") join(at, n);
  if (kind === "pause" || kind === "resume" || kind === "abort" || kind === "undo") decide(at, kind);
  if (target === undefined) return;
  if (kind === "prove") prove(at, index);
  if (kind === "stale") report(at, index, { running: after, provedGeneration: target.generation - 1n });
  if (kind === "twice") report(at, index, { ...target.agents[0] });
  if (kind === "reject") attempt(at, index, target.generation);
  if (kind === "old-reject") attempt(at, index, target.generation - 1n);
  if (kind === "silence") report(at, index, { silent: true });
  if (kind === "return") report(at, index, { silent: false });
  if (kind === "retire") at.clusters[index] = { ...target, retired: true };
  if (kind === "stray") at.clusters[index] = { ...target, strayed: true };
}

/** A cluster comes to the fleet; the store takes it in. */
function join(at: World, n: number): void {
  if (!["running", "paused", "succeeded"].includes(at.rollout.state) || at.rollout.waves.length === 0) return;
  const region = ["eu", "us", "ap"][n % 3] ?? "eu";
  const labels = { region, environment: ["test", "prod", "lab"][n % 2] ?? "test", in: "yes" };
  const wave = placeLate(at.rollout.spec, at.rollout.waves, labels);
  assert.ok(at.rollout.waves[wave] !== undefined, "a latecomer was put into no wave");
  const name = `late-${at.clusters.length}`;
  const cluster = clusterOf(`cl_${name}`, name, wave, n % 4 === 0, n % 5 === 0 ? undefined : before);
  at.clusters = [...at.clusters, { ...cluster, late: true }];
}

function decide(at: World, event: "pause" | "resume" | "abort" | "undo"): void {
  if (!stepRollout(at.rollout, event, "", at.nowMs).ok) return;
  if (event === "undo") {
    const undo = planUndo(at);
    if (undo.ok) execute(at, undo.value.changes, event);
    return;
  }
  const changes = event === "abort" ? planAbort(at) : event === "resume" ? planResume(at) : [];
  execute(at, changes, event);
}

test("whatever arrives: in order, never over max-unavailable, never an unreleased digest, always an end", () => {
  const ends = new Map<string, number>();
  fc.assert(
    fc.property(specs, fleets, moves, (spec, fleet, arriving) => {
      const at = start(spec, fleet);
      settle(at);
      for (const each of arriving) {
        move(at, each);
        settle(at);
      }
      // From here on no person does anything, and whoever is silent is heard of at some time.
      for (let i = 0; i < 200 && ["running", "rolling-back"].includes(at.rollout.state); i += 1) {
        if (i === 100) for (const index of at.clusters.keys()) report(at, index, { silent: false });
        at.nowMs += 30_000;
        settle(at);
      }
      assert.ok(!["running", "rolling-back"].includes(at.rollout.state), "it never came to an end");
      ends.set(at.rollout.state, (ends.get(at.rollout.state) ?? 0) + 1);
    }),
    { numRuns: 1500 },
  );
  const seen = [...ends.keys()].toSorted();
  assert.deepEqual(seen, ["aborted", "paused", "rolled-back", "succeeded"], "the worlds are too much alike");
});

test("where agents do as they are told, everybody that is heard of ends with the bundle, also who comes late", () => {
  fc.assert(
    fc.property(specs, fleets, fc.array(fc.nat({ max: 999 }), { maxLength: 6 }), (spec, fleet, late) => {
      const heard = fleet.map((cluster) => ({ ...cluster, silent: false }));
      // The silent ones: under `count` they fail and that is another test.
      const isCounted = (spec.strategy?.offline ?? "count") === "count";
      const at = start(spec, isCounted ? heard : fleet);
      const pending = [...late];
      for (let i = 0; i < 300; i += 1) {
        settle(at);
        // Some come while it runs, and the last one when it is over.
        const next = pending[0];
        if (next !== undefined && (i % 2 === 1 || isFinished(at.rollout.state))) {
          pending.shift();
          join(at, next);
        }
        for (const [index, cluster] of at.clusters.entries()) if (!isSilent(cluster)) prove(at, index);
        if (i === 150) for (const index of at.clusters.keys()) report(at, index, { silent: false });
        at.nowMs += 5000;
      }
      settle(at);
      assert.equal(at.rollout.state, "succeeded");
      assert.deepEqual(
        at.clusters.filter((cluster) => cluster.state !== "proved").map(({ name, state }) => `${name} ${state}`),
        [],
      );
    }),
    { numRuns: 300 },
  );
});

test("plans take every cluster once, one stage before the next, in steps that go as far as they say", () => {
  fc.assert(
    fc.property(specs, fleets, (spec, fleet) => {
      const plan = planRollout(spec, after, fleet);
      assert.ok(plan.ok);
      const { waves } = plan.value;
      const taken = waves.flatMap((wave) => wave.clusters.map((cluster) => cluster.id));
      assert.deepEqual(taken.toSorted(), fleet.map((cluster) => cluster.id).toSorted());
      assert.ok(waves.every((wave) => wave.clusters.length > 0));
      const labels = new Map(fleet.map((cluster) => [cluster.id, cluster.labels]));
      const order = waves
        .filter((wave) => wave.group !== "silent")
        .flatMap((wave) => wave.clusters.map((cluster) => stageOf(spec, labels.get(cluster.id) ?? {})));
      assert.deepEqual(
        order,
        order.toSorted((a, b) => a - b),
      );
      // A cluster that comes later finds the wave of its like.
      for (const [i, wave] of waves.entries()) {
        if (wave.group === "silent") continue;
        for (const cluster of wave.clusters) {
          assert.ok(placeLate(spec, waves, labels.get(cluster.id) ?? {}) >= i);
        }
      }
    }),
    { numRuns: 300 },
  );
});

test("a finished rollout stays as it is but for a person's undo, whatever arrives", () => {
  fc.assert(
    fc.property(specs, fleets, moves, (spec, fleet, arriving) => {
      const at = start(spec, fleet);
      settle(at);
      for (const each of arriving) {
        const ended = isFinished(at.rollout.state) ? at.rollout : undefined;
        move(at, each);
        settle(at);
        if (ended === undefined || each[0] === "undo") continue;
        assert.equal(at.rollout, ended, "a finished rollout moved");
      }
    }),
    { numRuns: 300 },
  );
});
