import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";

import { usualSpec } from "../../../test/support/rollout-world.ts";
import type { Digest, RolloutId } from "../ids.ts";
import type { RolloutCluster, RolloutClusterState } from "../rollout-cluster.ts";
import { sentence } from "../refusal.ts";
import { planRollout } from "../rollout-plan.ts";
import { parseRolloutSpec, type RolloutSpec } from "../rollout-spec.ts";
import { planStep, type RolloutSnapshot } from "../rollout-step.ts";
import type { Strategy } from "../rollout-strategy.ts";
import type { Rollout, RolloutState } from "../rollout.ts";
import { wholeFleet } from "../scope.ts";
import { judgeApprover, judgeNeed, standing, type Approval, type Person } from "./approval.ts";
import { planDifference, type PlanPicture } from "./difference.ts";
import type { Freeze } from "./hold.ts";
import { planPending } from "./pending.ts";

const digestOf = (digit: string) => `sha256:${digit.repeat(64)}` as Digest;
const [before, after] = [digestOf("a"), digestOf("b")];
const id = "ro_1" as RolloutId;
const spec: RolloutSpec = {
  ...usualSpec,
  failuresMax: 1,
  onFailure: "roll-back",
};
const rollout: Rollout = {
  id,
  spec,
  digest: after,
  state: "running",
  because: "",
  wave: 0,
  generation: 1n,
  planDigest: "sha256:plan",
  waves: [{ name: "one" }, { name: "two" }, { name: "three" }],
  createdBy: "ada",
  scope: wholeFleet,
  createdAtMs: 0,
};
const nowMs = 1_000_000;
const freeze: Freeze = { reason: "incident", by: "ada" };

/** Clusters of three waves in any state, each with an agent that proves, fails or says nothing. */
const anyClusters = fc.array(
  fc.record({
    wave: fc.integer({ min: 0, max: 2 }),
    state: fc.constantFrom<RolloutClusterState>("waiting", "assigned", "proved", "failed", "reverted"),
    tried: fc.boolean(),
    agent: fc.constantFrom("proves", "rejects", "says nothing"),
  }),
  { minLength: 1, maxLength: 9 },
);

function clusterOf(
  { wave, state, tried, agent }: { wave: number; state: RolloutClusterState; tried: boolean; agent: string },
  i: number,
): RolloutCluster {
  const generation = state !== "waiting" || tried ? 5n : 0n;
  const attempt = { digest: after, generation, phase: "rejected", reason: "trust/x", detail: "" };
  return {
    id: `cl_${i}`,
    name: `c-${i}`,
    wave,
    state,
    reason: "",
    previous: before,
    previousListed: true,
    generation,
    assignedAtMs: nowMs - 1_000,
    retired: false,
    assignment: { generation, digest: after, rolloutId: id },
    agents: [
      {
        name: "node-1",
        silent: false,
        observedGeneration: generation,
        running: agent === "proves" ? after : before,
        provedGeneration: agent === "proves" ? generation : 0n,
        ...(agent === "rejects" ? { attempt } : {}),
      },
    ],
  };
}

const snapshotOf = (state: RolloutState, wave: number, clusters: RolloutCluster[]): RolloutSnapshot => ({
  rollout: { ...rollout, state, wave },
  clusters,
  nowMs,
});

test("law: while it is frozen no wave begins and nothing failed is tried again, and whatever goes back goes back", () => {
  const states = fc.constantFrom<RolloutState>("running", "paused", "rolling-back");
  fc.assert(
    fc.property(states, fc.integer({ min: 0, max: 2 }), anyClusters, (state, wave, made) => {
      const clusters = made.map(clusterOf);
      const free = planStep(snapshotOf(state, wave, clusters));
      const frozen = planStep({ ...snapshotOf(state, wave, clusters), freeze });
      const underWay = new Set(clusters.filter((c) => c.generation > 0n).map((c) => c.wave));
      for (const change of frozen.changes.filter(({ to }) => to === "assigned")) {
        const cluster = clusters.find((each) => each.id === change.id);
        assert.ok(cluster !== undefined && underWay.has(cluster.wave) && cluster.generation === 0n);
      }
      assert.notEqual(frozen.event, "wave-done");
      // Everything that is no beginning is the same with and without a freeze.
      const isBeginning = free.event === "wave-done" || free.changes.some(({ to }) => to === "assigned");
      if (!isBeginning) assert.deepEqual(frozen, free);
      if (state === "rolling-back") assert.deepEqual(frozen, free);
      // What is under way beside it is told first.
      const isMoving = clusters.some((c) => c.state === "assigned" && c.wave <= wave);
      const isHeld = isBeginning && frozen.changes.length === 0 && !isMoving;
      if (isHeld) assert.match(frozen.because, /frozen by ada \(incident\)/);
      // An emergency is not held.
      const urgent = { ...rollout, state, wave, spec: { ...spec, people: emergency } };
      const pressed = planStep({ ...snapshotOf(state, wave, clusters), rollout: urgent, freeze });
      assert.deepEqual(pressed.changes, free.changes);
    }),
  );
});

const emergency = { windows: [], emergency: true, reason: "attack" };

test("parseRolloutSpec() makes an emergency a canary of one without soak, keeps its cap, and wants a reason", () => {
  const parsed = parseRolloutSpec({ ...spec, canary: 50, soakSeconds: 600, people: emergency });
  assert.ok(parsed.ok);
  assert.deepEqual([parsed.value.canary, parsed.value.soakSeconds, parsed.value.failuresMax], [1, 0, 1]);
  const bad = { ...emergency, reason: " ", windows: ["daily 00:00-01:00 UTC"], startAtMs: 5 };
  const refused = parseRolloutSpec({ ...spec, shadowSeconds: 60, people: bad });
  assert.ok(!refused.ok && refused.refusal.kind === "invalid");
  assert.deepEqual(
    refused.refusal.problems.map(({ field }) => field),
    ["reason", "windows", "start_at", "shadow_seconds"],
  );
});

test("an emergency keeps its canary of one and its cap, however its steps, its stages and --max-failures are written", () => {
  const fields = (change: Partial<RolloutSpec>) => {
    const parsed = parseRolloutSpec({ ...spec, people: emergency, ...change });
    if (parsed.ok || parsed.refusal.kind !== "invalid") return [];
    return parsed.refusal.problems.map(({ field, why }) => `${field} ${why}`);
  };
  const plain: Strategy = { stages: [], steps: [], offline: "count" };
  const all = { percent: 100 } as const;
  const [steps, cap] = fields({ strategy: { ...plain, steps: [all], failuresPercentMax: 100 } });
  assert.match(steps ?? "", /^steps begin with 100%: an emergency begins with one cluster/);
  assert.match(cap ?? "", /^max_failures_percent is 100; of an emergency at most 10 percent/);
  const stage = { name: "prod", selector: [], steps: [{ count: 2 }] };
  assert.match(
    fields({ strategy: { ...plain, stages: [stage] } })[0] ?? "",
    /^stages\[0\].steps begin with 2/,
  );
  assert.deepEqual(
    fields({ strategy: { ...plain, steps: [{ count: 1 }, all], failuresPercentMax: 10 } }),
    [],
  );
  // Without people there is no emergency, and any waves are the person's own.
  assert.ok(parseRolloutSpec({ ...spec, strategy: { ...plain, steps: [all] } }).ok);

  const fleet = (silent: boolean) =>
    Array.from({ length: 20 }, (_, i) => ({ id: `cl_${i}`, name: `c-${i}`, labels: {}, silent }));
  const planned = (change: Partial<RolloutSpec>, silent: boolean) => {
    const plan = planRollout({ ...spec, selector: [], people: emergency, ...change }, after, fleet(silent));
    return plan.ok ? plan.value.waves[0]?.clusters.length : sentence(plan.refusal);
  };
  assert.equal(planned({ failuresMax: 2 }, false), 1);
  assert.match(String(planned({ failuresMax: 20 }, false)), /of 20 clusters at most 2 may fail, not 20/);
  const skip = { strategy: { ...plain, offline: "skip" } as const };
  assert.match(
    String(planned({}, true)),
    /begins with one cluster that answers, and "c-0", with which it would begin, is silent: begin with another region/,
  );
  assert.match(String(planned(skip, true)), /begins with one cluster that answers, and the 20 .* are silent/);
});

const anyApproval = fc.record({
  planDigest: fc.constantFrom("sha256:plan", "sha256:other"),
  person: fc.constantFrom("p1", "p2"),
  name: fc.constant("bob"),
  reason: fc.constant(""),
  atMs: fc.constant(0),
  untilMs: fc.integer({ min: nowMs - 2, max: nowMs + 2 }),
});

test("law: a rollout begins only when so many people's unlapsed word for this very plan is there and its time has come", () => {
  const when = fc.option(fc.integer({ min: nowMs - 1, max: nowMs + 1 }), { nil: undefined });
  const states = fc.constantFrom<RolloutState>(
    "awaiting-approval",
    "scheduled",
    "running",
    "paused",
    "aborted",
  );
  const needs = fc.integer({ min: 0, max: 2 });
  fc.assert(
    fc.property(
      states,
      needs,
      when,
      fc.array(anyApproval, { maxLength: 4 }),
      (state, count, startAtMs, all) => {
        const people = {
          windows: [],
          emergency: false,
          reason: "",
          ...(startAtMs === undefined ? {} : { startAtMs }),
        };
        const asked = count === 0 ? {} : { need: { count, why: "many" } };
        const waiting: Rollout = { ...rollout, state, pending: true, spec: { ...spec, people }, ...asked };
        const good = all.filter((each) => each.planDigest === "sha256:plan" && each.untilMs > nowMs);
        const persons = new Set(good.map(({ person }) => person)).size;
        const isDue = startAtMs === undefined || startAtMs <= nowMs;
        const waits = state === "awaiting-approval" || state === "scheduled";
        const begins = planPending(waiting, all satisfies Approval[], nowMs).kind === "begin";
        assert.equal(begins, waits && persons >= count && isDue);
        assert.equal(standing(all, "sha256:plan", nowMs).length, persons);
      },
    ),
  );
});

test("judgeApprover() knows a person by login, token, name and by who made whose token, from either side", () => {
  const ada: Person = { person: "login ada", tokenId: "at_1", name: "ada" };
  const ci: Person = { person: "token at_2", tokenId: "at_2", name: "ci", madeBy: "ada" };
  const bob: Person = { person: "login bob", tokenId: "at_3", name: "bob" };
  assert.ok(judgeApprover([ada], bob).ok);
  assert.ok(judgeApprover([bob, ci], { ...bob, person: "login cy", tokenId: "at_4", name: "cy" }).ok);
  for (const [starter, by] of [
    [ada, { ...ada, tokenId: "at_9", name: "other name" }],
    [ada, { ...bob, tokenId: "at_1" }],
    [ada, { ...bob, name: "ada" }],
    [ada, ci],
    [ci, ada],
  ] as const) {
    assert.ok(!judgeApprover([bob, starter], by).ok, `${by.name} approves what ${starter.name} started`);
  }
});

test("judgeNeed() asks for a second person by count, by label, and always in an emergency", () => {
  const policy = { clustersMax: 2, labels: [{ key: "environment", value: "prod" }], lifeMs: 1 };
  const test = { environment: "test" };
  assert.equal(judgeNeed(policy, spec, [test, test]), undefined);
  assert.match(judgeNeed(policy, spec, [test, test, test])?.why ?? "", /reaches 3 clusters; up to 2/);
  assert.match(
    judgeNeed(policy, spec, [test, { environment: "prod" }])?.why ?? "",
    /1 with environment=prod/,
  );
  assert.equal(judgeNeed(policy, spec, []), undefined);
  const open = { labels: [], lifeMs: 1 };
  assert.equal(judgeNeed(open, spec, [test]), undefined);
  assert.match(judgeNeed(open, { ...spec, people: emergency }, [test])?.why ?? "", /two people/);
});

test("planDifference() names what joined, left, moved, runs something else, and another bundle", () => {
  const c = (name: string, previous?: string) => ({
    id: name,
    name,
    ...(previous === undefined ? {} : { previous }),
  });
  const old: PlanPicture = {
    bundle: "starter@1",
    digest: "d1",
    waves: [
      { name: "canary eu", clusters: [c("a", "x")] },
      { name: "eu", clusters: [c("b"), c("gone")] },
    ],
  };
  const next: PlanPicture = {
    bundle: "starter@2",
    digest: "d2",
    waves: [
      { name: "canary eu", clusters: [c("b")] },
      { name: "eu", clusters: [c("a", "y"), c("new")] },
    ],
  };
  assert.equal(
    planDifference(old, next),
    "the bundle is starter@2 now, not starter@1; new in it: new; no longer in it: gone; in another wave: b, a; running something else by now: a",
  );
});
