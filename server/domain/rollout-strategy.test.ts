import assert from "node:assert/strict";
import { test } from "node:test";

import { usualSpec } from "../../test/support/rollout-world.ts";
import type { Digest } from "./ids.ts";
import { canonicalPlan, planRollout, type FleetCluster } from "./rollout-plan.ts";
import { parseRolloutSpec, type RolloutSpec } from "./rollout-spec.ts";
import { failuresAllowed, unavailableAllowed, type Stage, type Strategy } from "./rollout-strategy.ts";

const digestOf = (digit: string) => `sha256:${digit.repeat(64)}` as Digest;
const [before, after] = [digestOf("a"), digestOf("b")];
const plain: Strategy = { stages: [], steps: [], offline: "count" };

function specOf(strategy: Partial<Strategy>): RolloutSpec {
  return {
    ...usualSpec,
    regionOrder: ["eu"],
    failuresMax: 1,
    strategy: { ...plain, ...strategy },
  };
}

const stage = (environment: string, steps: Stage["steps"] = []): Stage => ({
  name: environment,
  selector: [{ key: "environment", operator: "in", values: [environment] }],
  steps,
});

function cluster(name: string, environment: string, silent = false): FleetCluster {
  const labels = { region: name.slice(0, 2), environment };
  return { id: `cl_${name}`, name, labels, assigned: before, running: before, silent };
}

function wavesOf(fleet: readonly FleetCluster[], strategy: Partial<Strategy>): Record<string, string[]> {
  const outcome = planRollout(specOf(strategy), after, fleet);
  assert.ok(outcome.ok, "the plan was refused");
  return Object.fromEntries(outcome.value.waves.map((wave) => [wave.name, wave.clusters.map((c) => c.name)]));
}

const mixed = [
  cluster("eu-1", "prod"),
  cluster("eu-2", "test"),
  cluster("us-1", "test"),
  cluster("us-2", "lab"),
];

test("stages are taken one after another, region by region, and clusters of no stage come last", () => {
  assert.deepEqual(wavesOf(mixed, { stages: [stage("test"), stage("prod")] }), {
    "canary test eu": ["eu-2"],
    "test us": ["us-1"],
    "prod eu": ["eu-1"],
    "the rest us": ["us-2"],
  });
});

test("a cluster that several stages match is taken in the first of them", () => {
  const stages = [{ ...stage("test"), name: "all", selector: [] }];
  assert.equal(Object.values(wavesOf(mixed, { stages })).flat().length, 4);
});

test("steps say how far each wave goes, in clusters and in percent, and what is left is one more wave", () => {
  const ten = Array.from({ length: 10 }, (_, i) => cluster(`eu-${i}`, "prod"));
  const sizes = (strategy: Partial<Strategy>) =>
    Object.entries(wavesOf(ten, strategy)).map(([name, names]) => `${name}: ${names.length}`);
  assert.deepEqual(sizes({ steps: [{ count: 1 }, { percent: 25 }, { percent: 60 }] }), [
    "1 of 4 (to 1): 1",
    "2 of 4 (to 25%): 2",
    "3 of 4 (to 60%): 3",
    "4 of 4 (to 100%): 4",
  ]);
  // 1 % of ten clusters is one and not none; a step that goes no further than the one before is none.
  assert.deepEqual(sizes({ steps: [{ percent: 1 }, { count: 1 }, { percent: 100 }] }), [
    "1 of 2 (to 1%): 1",
    "2 of 2 (to 100%): 9",
  ]);
  assert.deepEqual(sizes({ steps: [{ count: 50 }] }), ["1 of 1 (to 50): 10"]);
  assert.deepEqual(sizes({ stages: [stage("prod", [{ percent: 50 }])], steps: [{ count: 1 }] }), [
    "prod 1 of 2 (to 50%): 5",
    "prod 2 of 2 (to 100%): 5",
  ]);
});

test("silent clusters that are to be skipped are the last wave, so that no stage is without a canary that answers", () => {
  const fleet = [cluster("eu-1", "test", true), cluster("eu-2", "prod")];
  assert.deepEqual(wavesOf(fleet, { stages: [stage("test")], offline: "skip" }), {
    "canary the rest eu": ["eu-2"],
    silent: ["eu-1"],
  });
});

test("shares of clusters are rounded down, but one cluster may always be without proof: it has to move", () => {
  const percent = specOf({ unavailableMax: { percent: 10 }, failuresPercentMax: 10 });
  assert.deepEqual(
    [5, 19, 20].map((n) => [unavailableAllowed(percent, n), failuresAllowed(percent, n)]),
    [
      [1, 0],
      [1, 1],
      [2, 2],
    ],
  );
  assert.deepEqual([unavailableAllowed(specOf({}), 5), failuresAllowed(specOf({}), 5)], [Infinity, 1]);
});

test("the plan's digest covers what decides about clusters that come later, and not the name of the bundle", () => {
  const text = (spec: RolloutSpec) => {
    const plan = planRollout(spec, after, mixed);
    assert.ok(plan.ok);
    return canonicalPlan(spec, plan.value);
  };
  const spec = specOf({});
  assert.equal(text({ ...spec, bundle: "starter" }), text(spec));
  for (const change of [
    { soakSeconds: 1 },
    { onFailure: "roll-back" as const },
    { selector: [{ key: "region", operator: "exists" as const }] },
    { strategy: { ...plain, offline: "wait" as const } },
    { strategy: { ...plain, unavailableMax: { count: 9 } } },
    { strategy: { ...plain, failuresPercentMax: 9 } },
    // Nobody is of this stage now, but somebody may come.
    { strategy: { ...plain, stages: [stage("stage")] } },
  ]) {
    assert.notEqual(text({ ...spec, ...change }), text(spec), JSON.stringify(change));
  }
});

test("every bad part of a strategy is named at once", () => {
  const parsed = parseRolloutSpec(
    specOf({
      stages: [
        { ...stage("a"), selector: [] },
        { ...stage("a"), steps: [{ percent: 101 }] },
        stage("no\nname"),
      ],
      steps: [{ count: 0 }],
      unavailableMax: { percent: 0 },
      failuresPercentMax: 101,
    }),
  );
  assert.ok(!parsed.ok && parsed.refusal.kind === "invalid");
  assert.deepEqual(
    parsed.refusal.problems.map(({ field }) => field),
    [
      "steps[0]",
      "max_unavailable",
      "max_failures_percent",
      "stages[0].selector",
      "stages[1].name",
      "stages[1].steps[0]",
      "stages[2].name",
    ],
  );
});
