import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";

import { usualSpec } from "../../test/support/rollout-world.ts";
import type { Digest, RolloutId } from "./ids.ts";
import { parseRolloutSpec, type RolloutSpec } from "./rollout-spec.ts";
import type { RolloutCluster } from "./rollout-cluster.ts";
import { isShadowing } from "./rollout-shadow.ts";
import { planStep, type RolloutSnapshot } from "./rollout-step.ts";
import { wholeFleet } from "./scope.ts";
import { stepRollout, type Rollout } from "./rollout.ts";

const spec: RolloutSpec = {
  ...usualSpec,
  shadowSeconds: 60,
};

function rolloutOf(change: Partial<RolloutSpec> = {}): Rollout {
  return {
    id: "ro_1" as RolloutId,
    spec: { ...spec, ...change },
    digest: "sha256:2" as Digest,
    state: "running",
    because: "",
    wave: 0,
    generation: 1n,
    planDigest: "",
    waves: [{ name: "canary eu" }, { name: "eu 1 of 1" }],
    createdBy: "a person",
    scope: wholeFleet,
    createdAtMs: 0,
  };
}

const cluster = (id: string, wave: number): RolloutCluster => ({
  id,
  name: id,
  wave,
  state: "waiting",
  reason: "",
  previousListed: false,
  generation: 0n,
  retired: false,
  assignment: { generation: 0n },
  agents: [],
});

const at = (rollout: Rollout, nowMs: number): RolloutSnapshot => ({
  rollout,
  nowMs,
  clusters: [cluster("a", 0), cluster("b", 1)],
  shadow: { agents: 2, evaluated: 1, refused: 1 },
});

/** The rollout after its next step, if that moves it. */
function moved(rollout: Rollout, nowMs: number): Rollout {
  const { event, because } = planStep(at(rollout, nowMs));
  if (event === undefined) return { ...rollout, because };
  const after = stepRollout(rollout, event, because, nowMs);
  assert.ok(after.ok);
  return after.value;
}

test("no cluster is assigned anything while the shadow lasts, whatever a person does to the rollout meanwhile", () => {
  const word = fc.constantFrom("pause", "resume", undefined);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(59_999), word), { maxLength: 8 }),
      fc.boolean(),
      (words, shadowThenGo) => {
        let rollout = rolloutOf({ shadowThenGo });
        for (const [nowMs, event] of words.toSorted(([a], [b]) => a - b)) {
          assert.deepEqual(planStep(at(rollout, nowMs)).changes, []);
          const next = event && stepRollout(rollout, event, "", nowMs);
          rollout = next?.ok === true ? next.value : moved(rollout, nowMs);
          assert.ok(isShadowing(rollout));
        }
      },
    ),
  );
});

test("after the shadow the rollout waits for a person, and begins with its first wave when they resume", () => {
  const paused = moved(rolloutOf(), 60_000);
  assert.equal(paused.state, "paused");
  assert.match(paused.because, /resume to begin with "canary eu"/);
  assert.deepEqual(planStep(at(paused, 90_000)).changes, []);
  const resumed = stepRollout(paused, "resume", "", 100_000);
  assert.ok(resumed.ok && !isShadowing(resumed.value));
  assert.deepEqual(
    planStep(at(resumed.value, 100_001)).changes.map(({ id, to }) => [id, to]),
    [["a", "assigned"]],
  );
});

test("with --then go it begins by itself, and its first wave begins when the shadow is over", () => {
  const going = moved(rolloutOf({ shadowThenGo: true }), 60_000);
  assert.deepEqual([going.state, going.wave, going.waves[0]?.startedAtMs], ["running", 0, 60_000]);
  assert.equal(going.waves[1]?.startedAtMs, undefined);
  assert.equal(planStep(at(going, 60_001)).changes.length, 1);
});

test("with --then go nothing begins by itself when no agent evaluated the bundle: that nobody looked is no sign of health", () => {
  const over = at(rolloutOf({ shadowThenGo: true }), 60_000);
  const refused = planStep({ ...over, shadow: { agents: 3, evaluated: 0, refused: 2 } });
  assert.equal(refused.event, "shadow-done-and-pause");
  assert.match(refused.because, /of 3 agents none evaluated an event with the bundle, and 2 refused it/);
  const { shadow: _unknown, ...unknown } = over;
  assert.equal(planStep(unknown).event, "shadow-done-and-pause");
});

test("a shadow that was paused by a person and resumed after its time still waits for a look at it", () => {
  const paused = stepRollout(rolloutOf(), "pause", "", 1_000);
  assert.ok(paused.ok);
  const resumed = stepRollout(paused.value, "resume", "", 120_000);
  assert.ok(resumed.ok);
  assert.equal(moved(resumed.value, 120_000).state, "paused");
});

test("a shadow of no sense is refused with the field and what is allowed", () => {
  const problem = (change: Partial<RolloutSpec>) => {
    const parsed = parseRolloutSpec({ ...spec, ...change });
    return parsed.ok ? "" : JSON.stringify(parsed.refusal);
  };
  assert.equal(problem({}), "");
  assert.match(problem({ kind: "shipper" }), /shadow_seconds.*rules and their layers only/);
  assert.match(problem({ shadowSeconds: 1 }), /shadow_seconds.*5 to 604800/);
  const { shadowSeconds: _none, ...without } = spec;
  const parsed = parseRolloutSpec({ ...without, shadowThenGo: true });
  assert.match(JSON.stringify(parsed), /shadow_then_go/);
});
