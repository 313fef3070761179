import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";

import { makeId, type Digest } from "../ids.ts";
import type { RolloutCluster, RolloutClusterState } from "../rollout-cluster.ts";
import { planStep, type RolloutSnapshot } from "../rollout-step.ts";
import { isFinished, stepRollout, type Rollout } from "../rollout.ts";
import { wholeFleet } from "../scope.ts";
import { gateNames, parseGates, renderLimit, type GateState } from "./gate.ts";
import { watchOf } from "./windows.ts";

const digestOf = (digit: string) => `sha256:${digit.repeat(64)}` as Digest;
const [before, after] = [digestOf("a"), digestOf("b")];
const id = makeId("rollout", new Uint8Array(10));
const minute = 60_000;

const rollout: Rollout = {
  id,
  spec: {
    kind: "rules",
    bundle: "",
    selector: [],
    canary: 1,
    growth: 3,
    regionOrder: [],
    failuresMax: 5,
    soakSeconds: 300,
    deadlineSeconds: 600,
    onFailure: "roll-back",
    gates: [{ name: "ingest", limit: 0.5 }],
  },
  digest: after,
  state: "running",
  because: "",
  wave: 0,
  generation: 3n,
  planDigest: "",
  waves: [{ name: "canary eu", startedAtMs: 0 }, { name: "eu 2 of 2" }],
  createdBy: "somebody",
  scope: wholeFleet,
  createdAtMs: 0,
};

function cluster(name: string, wave: number, state: RolloutClusterState): RolloutCluster {
  const given = state !== "waiting";
  const running = state === "proved" ? after : before;
  return {
    id: `cl_${name}`,
    name,
    wave,
    state,
    reason: "",
    previous: before,
    previousListed: true,
    generation: given ? 2n : 0n,
    ...(given ? { assignedAtMs: 0 } : {}),
    ...(state === "proved" ? { provedAtMs: minute } : {}),
    retired: false,
    assignment: { generation: 2n, digest: given ? after : before, ...(given ? { rolloutId: id } : {}) },
    agents: [
      {
        name: "node-1",
        silent: false,
        observedGeneration: 2n,
        running,
        provedGeneration: state === "proved" ? 2n : 1n,
      },
    ],
  };
}

function judged(state: GateState, nowMs: number, judgedAtMs: number = nowMs): RolloutSnapshot {
  const verdict = { gate: "ingest", state, measured: "", limit: "50%", words: "because" } as const;
  return {
    rollout,
    clusters: [cluster("a", 0, "proved"), cluster("b", 1, "waiting")],
    nowMs,
    gates: { verdicts: [verdict], judgedAtMs },
  };
}

const soaked = 6 * minute;

test("planStep() passes a soaked wave on verdicts that hold, and on nothing else", () => {
  assert.equal(planStep(judged("holds", soaked)).event, "wave-done");
  assert.equal(planStep(judged("waits", soaked)).event, undefined);
  assert.equal(planStep(judged("holds", soaked - 1)).event, undefined);
  // Of before the last cluster proved; and none at all.
  assert.equal(planStep(judged("holds", soaked, minute - 1)).event, undefined);
  const { gates: _none, ...unjudged } = judged("holds", soaked);
  assert.match(planStep(unjudged).because, /gate ingest waits: it was not judged/);
});

test("planStep() stops on a gate that fails without waiting for the soak, as the policy says", () => {
  const step = planStep(judged("fails", 2 * minute));
  assert.equal(step.event, "fail-and-roll-back");
  assert.deepEqual(
    step.changes.map(({ id: of, to, assign }) => [of, to, assign]),
    [["cl_a", "reverted", before]],
  );
  const spec = { ...rollout.spec, onFailure: "pause" } as const;
  const paused = planStep({ ...judged("fails", 2 * minute), rollout: { ...rollout, spec } });
  assert.deepEqual([paused.event, paused.changes], ["fail-and-pause", []]);
});

test("planStep() fails a wave whose gates still wait at the deadline, counted from when there could be enough to see", () => {
  // Proved in the first minute, seven minutes until rates can be there, ten minutes of deadline.
  assert.equal(planStep(judged("waits", 18 * minute - 1)).event, undefined);
  assert.equal(planStep(judged("waits", 18 * minute)).event, "fail-and-roll-back");
});

test("stepRollout() lets the gates of a resumed wave look only at what comes afterwards", () => {
  const paused: Rollout = { ...rollout, state: "paused" };
  const resumed = stepRollout(paused, "resume", "", 20 * minute);
  assert.ok(resumed.ok);
  const at = { ...judged("waits", 30 * minute), rollout: resumed.value };
  assert.equal(planStep(at).event, undefined);
  const old = { ...judged("holds", 30 * minute, 19 * minute), rollout: resumed.value };
  assert.equal(planStep(old).event, undefined);
});

test("a rollback for a gate comes to its end whatever was in flight, and nobody keeps the bundle", () => {
  const moves = fc.array(fc.tuple(fc.nat({ max: 3 }), fc.constantFrom("new", "old", "silent", "wait")), {
    maxLength: 30,
  });
  const kinds = fc.array(fc.constantFrom<RolloutClusterState>("assigned", "proved", "waiting"), {
    minLength: 3,
    maxLength: 3,
  });
  fc.assert(
    fc.property(kinds, moves, (states, arriving) => {
      let at: RolloutSnapshot = {
        ...judged("fails", 2 * minute),
        clusters: [cluster("a", 0, "proved"), ...states.map((state, i) => cluster(`b${i}`, 0, state))],
      };
      const advance = () => {
        for (let i = 0; i < 20; i += 1) {
          const step = planStep(at);
          if (step.changes.length === 0 && step.event === undefined) return;
          at = execute(at, step);
        }
      };
      advance();
      assert.equal(at.rollout.state, "rolling-back");
      for (const [n, what] of arriving) {
        if (what === "wait") at = { ...at, nowMs: at.nowMs + minute };
        else at = { ...at, clusters: at.clusters.map((each, i) => (i === n ? told(each, what) : each)) };
        advance();
      }
      at = { ...at, nowMs: at.nowMs + 20 * minute };
      advance();
      assert.ok(isFinished(at.rollout.state));
      assert.ok(at.clusters.every(({ assignment }) => assignment.digest === before));
    }),
    { numRuns: 200 },
  );
});

function told(each: RolloutCluster, what: "new" | "old" | "silent"): RolloutCluster {
  const agents = each.agents.map((agent) =>
    what === "silent"
      ? { ...agent, silent: true }
      : what === "new"
        ? { ...agent, running: after, provedGeneration: 2n }
        : { ...agent, silent: false, running: before, provedGeneration: each.assignment.generation },
  );
  return { ...each, agents };
}

function execute(at: RolloutSnapshot, step: ReturnType<typeof planStep>): RolloutSnapshot {
  const clusters = at.clusters.map((each): RolloutCluster => {
    const change = step.changes.find((one) => one.id === each.id);
    if (change === undefined) return each;
    const { provedAtMs: _before, ...rest } = each;
    const { to: state, reason, assign } = change;
    if (assign === undefined) {
      return {
        ...rest,
        state,
        reason,
        ...(state === "reverted" || state === "proved" ? { provedAtMs: at.nowMs } : {}),
      };
    }
    const generation = each.assignment.generation + 1n;
    return {
      ...rest,
      state,
      reason,
      generation,
      assignedAtMs: at.nowMs,
      assignment: { generation, rolloutId: id, ...(assign === null ? {} : { digest: assign }) },
    };
  });
  if (step.event === undefined) return { ...at, clusters };
  const next = stepRollout(at.rollout, step.event, step.because, at.nowMs);
  assert.ok(next.ok);
  return { ...at, clusters, rollout: next.value };
}

test("parseGates() has health on by itself, and the others with a soak in which rates can be seen", () => {
  const names = (wanted: Parameters<typeof parseGates>[0], soak: number) => {
    const gates = parseGates(wanted, soak);
    return gates.ok ? gates.value.map(({ name }) => name) : [];
  };
  assert.deepEqual(names([], 299), ["health"]);
  assert.deepEqual(names([], 300), gateNames);
  assert.deepEqual(names([{ name: "alerts", limit: "2x", off: false }], 0), ["health", "alerts"]);
  const off = gateNames.map((name) => ({ name, limit: "", off: true }));
  assert.deepEqual(names(off, 300), []);
});

test("parseGates() reads back what renderLimit() writes, and refuses the rest in words that help", () => {
  const gates = parseGates([], 300);
  assert.ok(gates.ok);
  const written = gates.value.map((gate) => ({ name: gate.name, limit: renderLimit(gate), off: false }));
  assert.deepEqual(
    written.map(({ limit }) => limit),
    ["5%", "50%", "0.1%", "30s", "50%", "3x", "100/h", "50%"],
  );
  assert.deepEqual(parseGates(written, 0), gates);
  const refused = parseGates(
    [
      { name: "speed", limit: "", off: false },
      { name: "alerts", limit: "300%", off: false },
      { name: "lag", limit: "0s", off: false },
    ],
    0,
  );
  assert.ok(!refused.ok && refused.refusal.kind === "invalid");
  assert.deepEqual(
    refused.refusal.problems.map(({ why }) => why),
    [
      'there is no gate "speed": health, ingest, drops, lag, cost, alerts, new-alerts, silence',
      "the limit 0s of gate lag is out of bounds: 1s to 3600s is allowed",
      'the limit "300%" of gate alerts cannot be read: write it as 3x',
    ],
  );
});

test("watchOf() counts whole minutes, without the one of the apply and those still on their way", () => {
  const at = watchOf(10.5 * minute, 11.2 * minute, 17.2 * minute);
  assert.deepEqual(
    [at.fromMs, at.toMs, at.minutes, at.pastFromMs, at.pastToMs].map((ms) => ms / minute),
    [12, 16, 4 / minute, -50, 10],
  );
  assert.equal(watchOf(0, 0, 0).minutes, 0);
  // What ran before was given half an hour, an hour and a half, or a moment before.
  const pasts = [270, 210, 297].map((previous) => {
    const { pastFromMs, alertsFromMs, slices } = watchOf(
      300 * minute,
      301 * minute,
      310 * minute,
      previous * minute,
    );
    return [pastFromMs / minute, alertsFromMs / minute, slices];
  });
  assert.deepEqual(pasts, [
    [270, 180, 12],
    [240, 210, 9],
    [240, 180, 12],
  ]);
  assert.equal(watchOf(0, 0, 500 * minute).minutes, 60);
});
