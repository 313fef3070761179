import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";

import { usualSpec } from "../../test/support/rollout-world.ts";
import type { Digest } from "./ids.ts";
import { canonicalPlan, planRollout, type FleetCluster } from "./rollout-plan.ts";
import { parseRolloutSpec, type RolloutSpec } from "./rollout-spec.ts";

const digestOf = (digit: string) => `sha256:${digit.repeat(64)}` as Digest;
const [before, after] = [digestOf("a"), digestOf("b")];
const spec: RolloutSpec = {
  ...usualSpec,
  regionOrder: ["eu"],
};

function cluster(name: string, region: string, more: Partial<FleetCluster> = {}): FleetCluster {
  return {
    id: `cl_${name}`,
    name,
    labels: { region },
    assigned: before,
    running: before,
    silent: false,
    ...more,
  };
}

function wavesOf(
  fleet: readonly FleetCluster[],
  change: Partial<RolloutSpec> = {},
): Record<string, string[]> {
  const outcome = planRollout({ ...spec, ...change }, after, fleet);
  assert.ok(outcome.ok, "the plan was refused");
  return Object.fromEntries(outcome.value.waves.map((wave) => [wave.name, wave.clusters.map((c) => c.name)]));
}

test("planRollout() begins with a canary in the first region and grows region by region", () => {
  const eu = ["eu-1", "eu-2", "eu-3", "eu-4", "eu-5", "eu-6"].map((name) => cluster(name, "eu"));
  const fleet = [cluster("us-1", "us"), cluster("ap-2", "ap"), cluster("ap-1", "ap"), ...eu.toReversed()];
  assert.deepEqual(wavesOf(fleet), {
    "canary eu": ["eu-1"],
    "eu 2 of 3": ["eu-2", "eu-3", "eu-4"],
    "eu 3 of 3": ["eu-5", "eu-6"],
    "ap 1 of 2": ["ap-1"],
    "ap 2 of 2": ["ap-2"],
    us: ["us-1"],
  });
});

test("planRollout() never takes a silent cluster as the canary while another one answers", () => {
  assert.deepEqual(wavesOf([cluster("eu-1", "eu", { silent: true }), cluster("eu-2", "eu")]), {
    "canary eu": ["eu-2"],
    "eu 2 of 2": ["eu-1"],
  });
});

test("planRollout() leaves alone what runs the bundle, but not what was only assigned it", () => {
  const outcome = planRollout(spec, after, [
    cluster("eu-1", "eu", { assigned: after, running: after }),
    cluster("eu-2", "eu", { assigned: after, running: before }),
  ]);
  assert.ok(outcome.ok);
  assert.deepEqual(outcome.value.unchanged, ["cl_eu-1"]);
  assert.deepEqual(outcome.value.waves[0]?.clusters, [{ id: "cl_eu-2", name: "eu-2", previous: before }]);
});

test("planRollout() never sends a cluster back to a bundle that its agent gave up", () => {
  const bad = "sha256:bad" as Digest;
  const { running: _, ...runsNothing } = cluster("eu-2", "eu", { assigned: bad, isGivenUp: true });
  const outcome = planRollout(spec, after, [
    cluster("eu-1", "eu", { assigned: bad, running: before, isGivenUp: true }),
    runsNothing,
    cluster("eu-3", "eu", { assigned: bad, running: after, isGivenUp: true }),
  ]);
  assert.ok(outcome.ok);
  const back = outcome.value.waves.flatMap(({ clusters }) => clusters.map((c) => [c.name, c.previous]));
  // Where agents run different bundles or none, there is nothing better than what is assigned.
  assert.deepEqual(Object.fromEntries(back), { "eu-1": before, "eu-2": bad, "eu-3": undefined });
});

test("planRollout() names the unfinished rollout that holds a matching cluster", () => {
  const busyWith = "ro_x" as NonNullable<FleetCluster["busyWith"]>;
  const outcome = planRollout(spec, after, [cluster("eu-1", "eu", { busyWith })]);
  assert.ok(!outcome.ok && outcome.refusal.kind === "precondition");
  assert.match(outcome.refusal.why, /"eu-1" is in rollout ro_x/);
});

test("planRollout() names the clusters that cannot take what is rolled out, and leaves others out of it", () => {
  const unfit = cluster("eu-1", "eu", { unfit: "an agent of it knows of no layers" });
  const outcome = planRollout(spec, after, [unfit, cluster("eu-2", "eu")]);
  assert.ok(!outcome.ok && outcome.refusal.kind === "precondition");
  assert.match(outcome.refusal.why, /eu-1 \(an agent of it knows of no layers\)/);
  const selector = [{ key: "region", operator: "in", values: ["us"] }] as const;
  assert.ok(planRollout({ ...spec, selector }, after, [unfit, cluster("us-1", "us")]).ok);
});

test("planRollout() refuses a selector that matches nothing instead of succeeding with nothing", () => {
  const selector = [{ key: "region", operator: "in", values: ["mars"] }] as const;
  assert.ok(!planRollout({ ...spec, selector }, after, [cluster("eu-1", "eu")]).ok);
});

test("canonicalPlan() is the same whatever the order of the fleet, and another when a cluster joins", () => {
  const names = ["eu-1", "eu-2", "us-1", "us-2"];
  const fleet = names.map((name) => cluster(name, name.slice(0, 2)));
  const text = (clusters: readonly FleetCluster[]) => {
    const outcome = planRollout(spec, after, clusters);
    return outcome.ok ? canonicalPlan(spec, outcome.value) : "";
  };
  fc.assert(
    fc.property(fc.shuffledSubarray(fleet, { minLength: 4 }), (shuffled) => text(shuffled) === text(fleet)),
  );
  assert.notEqual(text([...fleet, cluster("us-3", "us")]), text(fleet));
});

test("planRollout() takes every matching cluster exactly once, in waves that are never empty", () => {
  const region = fc.constantFrom("eu", "us", "ap", "tr");
  const sizes = fc.record({ canary: fc.integer({ min: 1, max: 5 }), growth: fc.integer({ min: 1, max: 4 }) });
  fc.assert(
    fc.property(fc.array(region, { minLength: 1, maxLength: 60 }), sizes, (regions, size) => {
      const fleet = regions.map((each, i) => cluster(`c-${i}`, each));
      const waves = Object.values(wavesOf(fleet, size));
      assert.ok(waves.every((wave) => wave.length > 0));
      assert.ok((waves[0]?.length ?? 0) <= size.canary);
      assert.deepEqual(waves.flat().toSorted(), fleet.map((each) => each.name).toSorted());
    }),
  );
});

test("parseRolloutSpec() fills in the defaults and names every field that is out of bounds", () => {
  const filled = parseRolloutSpec({ ...spec, canary: 0, growth: 0, deadlineSeconds: 0 });
  assert.ok(filled.ok);
  assert.deepEqual([filled.value.canary, filled.value.growth, filled.value.deadlineSeconds], [1, 3, 600]);
  const bad = parseRolloutSpec({ ...spec, canary: 99_999, soakSeconds: 9e9, regionOrder: ["eu", "eu"] });
  assert.ok(!bad.ok && bad.refusal.kind === "invalid");
  const fields = bad.refusal.problems.map((problem) => problem.field);
  assert.deepEqual(fields, ["canary", "soak_seconds", "region_order"]);
});
