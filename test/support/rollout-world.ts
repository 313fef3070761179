import assert from "node:assert/strict";
import * as fc from "fast-check";

import type { GateState, GateVerdict } from "../../server/domain/gates/gate.ts";
import { makeId, type Digest, type RolloutId } from "../../server/domain/ids.ts";
import type { Freeze } from "../../server/domain/people/hold.ts";
import { planCatchUp } from "../../server/domain/rollout-catch-up.ts";
import type { ClusterChange, RolloutCluster } from "../../server/domain/rollout-cluster.ts";
import { planRollout, type FleetCluster } from "../../server/domain/rollout-plan.ts";
import type { RolloutSpec } from "../../server/domain/rollout-spec.ts";
import { planStep, type RolloutSnapshot, type RolloutStep } from "../../server/domain/rollout-step.ts";
import { unavailableAllowed, type Share, type Strategy } from "../../server/domain/rollout-strategy.ts";
import { isSilent } from "../../server/domain/rollout-turn.ts";
import { waveInWork } from "../../server/domain/rollout-wave.ts";
import { stepRollout, type Rollout, type RolloutEvent } from "../../server/domain/rollout.ts";
import { wholeFleet } from "../../server/domain/scope.ts";

/** A rollout in a world that the store would make of it. Every step is checked before it is taken. */

const digestOf = (digit: string) => `sha256:${digit.repeat(64)}` as Digest;
export const [before, after]: readonly [Digest, Digest] = [digestOf("a"), digestOf("b")];
const id: RolloutId = makeId("rollout", new Uint8Array(10));

/** Rules to everybody, as a rollout is when nothing is said but for its soak; a test writes out what it is about. */
export const usualSpec: RolloutSpec = {
  kind: "rules",
  bundle: "",
  selector: [],
  canary: 1,
  growth: 3,
  regionOrder: [],
  failuresMax: 0,
  soakSeconds: 0,
  deadlineSeconds: 600,
  onFailure: "pause",
};

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
  gates: fc.constantFrom([], [{ name: "ingest", limit: 0.5 } as const]),
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
  /** While it is set, no wave begins. */
  freeze?: Freeze;
  /** What gates say when they are asked. */
  verdict: GateState;
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
  return {
    rollout,
    clusters,
    nowMs: 1000,
    verdict: "holds",
    labels: new Map(fleet.map((c) => [c.id, c.labels])),
  };
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
      assignment: { generation, rolloutId: id, ...(change.assign === null ? {} : { digest: change.assign }) },
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
    if (assign === null && cluster.mayEndWithout === true) continue;
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

/** A wave passes when everybody up to it has been decided about, but for those that hold nothing up, as newcomers. */
function checkDone({ rollout, clusters }: World): void {
  const skips = rollout.spec.strategy?.offline === "skip";
  const open = clusters.filter(
    (cluster) =>
      cluster.wave <= rollout.wave &&
      cluster.late !== true &&
      (cluster.state === "assigned" || (cluster.state === "waiting" && !(skips && isSilent(cluster)))),
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

/** As the reconciler asks gates. It would not ask for rates of a wave that has passed; that they do not count is the planner's to know. */
function judged(at: World): RolloutSnapshot {
  const gates = at.rollout.spec.gates ?? [];
  if (gates.length === 0 || waveInWork(at).proved.length === 0) return at;
  const verdicts = gates.map(({ name }): GateVerdict => ({
    gate: name,
    state: at.verdict,
    measured: "",
    limit: "",
    words: "",
  }));
  return { ...at, gates: { verdicts, judgedAtMs: at.nowMs } };
}

/** A wave that has passed, and that only the hour holds up, is not stopped for silence or rates. */
function checkStop(at: World, { event, because }: RolloutStep): void {
  if (at.freeze === undefined || event?.startsWith("fail-") !== true || !waveInWork(at).isPassed) return;
  assert.doesNotMatch(because, /fails: gate|could not be judged|was lost during the soak/);
}

export function settle(at: World): void {
  for (let i = 0; i < 500; i += 1) {
    const step = planStep(judged(at));
    checkStop(at, step);
    const changes = at.rollout.state === "succeeded" ? planCatchUp(at) : step.changes;
    if (changes.length === 0 && step.event === undefined) return;
    execute(at, changes, step.event);
  }
  assert.fail("it never came to rest");
}
