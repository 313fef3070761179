import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";

import {
  after,
  before,
  clusterOf,
  execute,
  fleets,
  settle,
  specs,
  start,
  type World,
} from "../../test/support/rollout-world.ts";
import type { RolloutCluster } from "./rollout-cluster.ts";
import { planAbort, planResume, planUndo } from "./rollout-decisions.ts";
import { planRollout } from "./rollout-plan.ts";
import { stageOf } from "./rollout-strategy.ts";
import { planStep } from "./rollout-step.ts";
import { isSilent } from "./rollout-turn.ts";
import { placeLate } from "./rollout-waves.ts";
import { isFinished, stepRollout } from "./rollout.ts";

/**
 * The planner and the stepper together: whatever arrives, in whatever order, what the tests say holds. What each step may
 * do is checked by the world that takes it.
 */

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
  "freeze",
  "thaw",
  "gate",
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
  if (kind === "freeze") at.freeze = { reason: "incident", by: "ada" };
  if (kind === "thaw") delete at.freeze;
  if (kind === "gate") at.verdict = (["holds", "waits", "fails"] as const)[n % 3] ?? "holds";
  if (kind === "pause" || kind === "resume" || kind === "abort" || kind === "undo") decide(at, kind);
  if (target === undefined) return;
  if (kind === "prove") prove(at, index);
  if (kind === "stale") report(at, index, { running: after, provedGeneration: target.generation - 1n });
  if (kind === "twice") report(at, index, { ...target.agents[0] });
  if (kind === "reject") attempt(at, index, target.generation);
  if (kind === "old-reject") attempt(at, index, target.generation - 1n);
  if (kind === "silence") report(at, index, { silent: true, lastSeenMs: at.nowMs });
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
        if (i === 100) delete at.freeze;
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
        at.clusters
          .filter((cluster) => cluster.state !== "proved")
          .map(({ name, state }) => `${name} ${state}`),
        [],
      );
    }),
    { numRuns: 300 },
  );
});

test("a rollout that stopped comes to a good end when a person retires what failed and resumes, whoever joins meanwhile", () => {
  const arriving = fc.array(
    fc.tuple(
      fc.constantFrom<Move[0]>(
        "prove",
        "reject",
        "silence",
        "return",
        "wait",
        "freeze",
        "thaw",
        "gate",
        "pause",
      ),
      fc.nat({ max: 999 }),
    ),
    { maxLength: 30 },
  );
  fc.assert(
    fc.property(specs, fleets, arriving, (spec, fleet, all) => {
      const at = start({ ...spec, onFailure: "pause" }, fleet);
      settle(at);
      for (const each of all) {
        move(at, each);
        settle(at);
      }
      delete at.freeze;
      at.verdict = "holds";
      for (let i = 0; i < 300 && at.rollout.state !== "succeeded"; i += 1) {
        if (at.rollout.state === "paused") {
          at.clusters = at.clusters.map((c) => (c.state === "failed" ? { ...c, retired: true } : c));
          decide(at, "resume");
        }
        if (i % 7 === 0) join(at, i);
        for (const index of at.clusters.keys()) {
          report(at, index, { silent: false });
          prove(at, index);
        }
        at.nowMs += 5000;
        settle(at);
      }
      assert.equal(at.rollout.state, "succeeded", planStep(at).because);
    }),
    { numRuns: 200 },
  );
});

test("newcomers that never prove hold up no wave, as long as they do not take the room of others", () => {
  fc.assert(
    fc.property(specs, fleets, fc.nat({ max: 9 }), (spec, fleet, n) => {
      const heard = fleet.map((cluster) => ({ ...cluster, silent: false }));
      const { unavailableMax: _bound, ...strategy } = spec.strategy ?? {
        stages: [],
        steps: [],
        offline: "wait",
      };
      // No newcomer has had its time when the rollout ends.
      const at = start({ ...spec, strategy, deadlineSeconds: 86_400 }, heard);
      for (let i = 0; i < 100 && at.rollout.state === "running"; i += 1) {
        settle(at);
        join(at, n + i);
        for (const [index, cluster] of at.clusters.entries()) if (cluster.late !== true) prove(at, index);
        at.nowMs += 5000;
      }
      assert.equal(at.rollout.state, "succeeded", planStep(at).because);
    }),
    { numRuns: 100 },
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
