import assert from "node:assert/strict";
import * as fc from "fast-check";

import { makeId, type Digest, type RolloutId } from "../../server/domain/ids.ts";
import { planCatchUp } from "../../server/domain/rollout-catch-up.ts";
import type { ClusterChange, RolloutCluster } from "../../server/domain/rollout-cluster.ts";
import { planRollout, type FleetCluster } from "../../server/domain/rollout-plan.ts";
import type { RolloutSpec } from "../../server/domain/rollout-spec.ts";
import { planStep } from "../../server/domain/rollout-step.ts";
import { unavailableAllowed, type Share, type Strategy } from "../../server/domain/rollout-strategy.ts";
import { isSilent } from "../../server/domain/rollout-turn.ts";
import { stepRollout, type Rollout, type RolloutEvent } from "../../server/domain/rollout.ts";
import { wholeFleet } from "../../server/domain/scope.ts";

/** A rollout in a world that the store would make of it. Every step is checked before it is taken. */

const digestOf = (digit: string) => `sha256:${digit.repeat(64)}` as Digest;
export const [before, after]: readonly [Digest, Digest] = [digestOf("a"), digestOf("b")];
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
export const specs: fc.Arbitrary<RolloutSpec> = fc.record({
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
export const fleets: fc.Arbitrary<readonly FleetCluster[]> = fc
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

export interface World {
  rollout: Rollout;
  clusters: RolloutCluster[];
  nowMs: number;
  readonly labels: Map<string, Readonly<Record<string, string>>>;
}

export function start(spec: RolloutSpec, fleet: readonly FleetCluster[]): World {
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

export function clusterOf(
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
export function execute(at: World, changes: readonly ClusterChange[], event?: RolloutEvent): void {
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
  if (event === "wave-done" || event === "last-wave-done") checkDone(at);
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

  for (const change of given) {
    const cluster = find(change.id);
    assert.ok(cluster !== undefined);
    const mayBeSilent = (rollout.spec.strategy?.offline ?? "count") === "count" && cluster.late !== true;
    assert.ok(mayBeSilent || !isSilent(cluster), `${cluster.name} is silent and was given it`);
    if (rollout.state === "succeeded") continue;
    assert.ok(cluster.wave <= rollout.wave, `the wave of ${cluster.name} has not begun`);
    assert.ok(
      cluster.late !== true || cluster.wave < rollout.wave,
      `${cluster.name} came late and went first`,
    );
  }
}

/** A wave passes when everybody up to it has been decided about, but for those that hold nothing up. */
function checkDone({ rollout, clusters }: World): void {
  const skips = rollout.spec.strategy?.offline === "skip";
  const open = clusters.filter(
    (cluster) =>
      cluster.wave <= rollout.wave &&
      (cluster.state === "assigned" ||
        (cluster.state === "waiting" && cluster.late !== true && !(skips && isSilent(cluster)))),
  );
  assert.deepEqual(
    open.map(({ name, state }) => `${name} ${state}`),
    [],
    "a wave passed too early",
  );
  const counted = clusters.filter((c) => c.wave <= rollout.wave && c.state !== "removed" && c.late !== true);
  const hasProof = clusters.some((cluster) => cluster.state === "proved");
  assert.ok(counted.length === 0 || hasProof, "a wave passed although the bundle proved nowhere");
}

export function settle(at: World): void {
  for (let i = 0; i < 500; i += 1) {
    const step = planStep(at);
    const changes = at.rollout.state === "succeeded" ? planCatchUp(at) : step.changes;
    if (changes.length === 0 && step.event === undefined) return;
    execute(at, changes, step.event);
  }
  assert.fail("it never came to rest");
}
