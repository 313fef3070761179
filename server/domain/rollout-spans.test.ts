import assert from "node:assert/strict";
import { test } from "node:test";

import type { Digest, RolloutId } from "./ids.ts";
import type { ClusterChange, RolloutCluster } from "./rollout-cluster.ts";
import { spansOf, type CommittedStep } from "./rollout-spans.ts";
import type { RolloutSpec } from "./rollout-spec.ts";
import { stepRollout, type Rollout, type RolloutEvent } from "./rollout.ts";

const digest = "sha256:new" as Digest;
const rollout: Rollout = {
  id: "ro_1" as RolloutId,
  spec: { kind: "rules" } as RolloutSpec,
  digest,
  state: "running",
  because: "",
  wave: 0,
  generation: 1n,
  planDigest: "",
  waves: [{ name: "canary eu", startedAtMs: 1_500 }, { name: "eu 1 of 1" }],
  createdBy: "ann",
  scope: [] as unknown as Rollout["scope"],
  createdAtMs: 1_000,
};
const cluster = (state: RolloutCluster["state"], more: Partial<RolloutCluster> = {}): RolloutCluster => ({
  id: "cl_1",
  name: "eu-1",
  wave: 0,
  state,
  reason: "",
  previousListed: true,
  generation: 7n,
  assignedAtMs: 2_000,
  retired: false,
  assignment: { generation: 7n },
  agents: [],
  ...more,
});

function stepOf(
  before: Rollout,
  event: RolloutEvent | undefined,
  changes: readonly ClusterChange[],
  seen: readonly RolloutCluster[],
): CommittedStep {
  const stepped =
    event === undefined ? { ok: true as const, value: before } : stepRollout(before, event, "why", 9_000);
  assert.ok(stepped.ok);
  return { before, after: stepped.value, changes, seen, because: "why", fromMs: 8_900, nowMs: 9_000 };
}

const shape = (step: CommittedStep) =>
  spansOf(step).map(({ name, key, parentKey, startMs, endMs, error }) => [
    name,
    key,
    parentKey,
    startMs,
    endMs,
    error,
  ]);

const proved: ClusterChange = { id: "cl_1", to: "proved", reason: "" };

test("a step that only changes words is no span", () => {
  assert.deepEqual(spansOf(stepOf(rollout, undefined, [], [cluster("assigned")])), []);
});

test("an assignment is a decision, and its cluster a span when it proves, under its wave", () => {
  const assign: ClusterChange = { id: "cl_1", to: "assigned", assign: digest, reason: "" };
  const waiting = cluster("waiting", { generation: 0n, assignedAtMs: undefined as never });
  assert.deepEqual(shape(stepOf(rollout, undefined, [assign], [waiting])), [
    ["decide", undefined, "wave ro_1 0", 8_900, 9_000, undefined],
  ]);
  assert.deepEqual(shape(stepOf(rollout, undefined, [proved], [cluster("assigned")])), [
    ["decide", undefined, "wave ro_1 0", 8_900, 9_000, undefined],
    ["cluster", "cluster ro_1 cl_1 7", "wave ro_1 0", 2_000, 9_000, undefined],
  ]);
});

test("a cluster that fails, or is sent back before it proved, says so in its span", () => {
  const failed: ClusterChange = { id: "cl_1", to: "failed", reason: "rules/invalid" };
  const back: ClusterChange = {
    id: "cl_1",
    to: "reverted",
    assign: "sha256:old" as Digest,
    reason: "undone",
  };
  for (const change of [failed, back]) {
    const [, span] = spansOf(stepOf(rollout, undefined, [change], [cluster("assigned")]));
    assert.deepEqual([span?.key, span?.error], ["cluster ro_1 cl_1 7", change.reason]);
  }
  // It had proved before, and its span is written.
  assert.equal(spansOf(stepOf(rollout, undefined, [back], [cluster("proved")])).length, 1);
});

test("the last wave ends its span and that of the rollout, and an undo of what succeeded writes neither again", () => {
  const last = { ...rollout, wave: 1, waves: [{ name: "a" }, { name: "b", startedAtMs: 5_000 }] };
  assert.deepEqual(shape(stepOf(last, "last-wave-done", [], [])), [
    ["decide", undefined, "wave ro_1 1", 8_900, 9_000, undefined],
    ["wave", "wave ro_1 1", "rollout ro_1", 5_000, 9_000, undefined],
    ["rollout", "rollout ro_1", undefined, 1_000, 9_000, undefined],
  ]);
  const done = stepOf(last, "last-wave-done", [], []).after;
  assert.deepEqual(shape(stepOf(done, "undo", [], [])), [
    ["decide", undefined, "rollout ro_1", 8_900, 9_000, undefined],
  ]);
});

test("a rollout that turns back is over for its trace with the reason, and so is the wave in work", () => {
  assert.deepEqual(shape(stepOf(rollout, "fail-and-roll-back", [], [])).slice(1), [
    ["wave", "wave ro_1 0", "rollout ro_1", 1_500, 9_000, "why"],
    ["rollout", "rollout ro_1", undefined, 1_000, 9_000, "why"],
  ]);
  const rolling = stepOf(rollout, "fail-and-roll-back", [], []).after;
  const [, last] = spansOf(stepOf(rolling, "all-reverted", [], []));
  assert.deepEqual([last?.name, last?.parentKey], ["roll back", "rollout ro_1"]);
});

test("what gates said stands in the decision that was made with them", () => {
  const step = stepOf(rollout, "wave-done", [], []);
  const gates = [{ gate: "drops", state: "holds", measured: "", limit: "", words: "" }] as const;
  const [decision] = spansOf({ ...step, gates });
  assert.equal(decision?.attributes["falconry.gate.drops"], "holds");
});

test("two rollouts that were started in one trace share no span, of the whole, of waves or of clusters", () => {
  const last = { ...rollout, wave: 1, waves: [{ name: "a" }, { name: "b", startedAtMs: 5_000 }] };
  const keysOf = (of: Rollout) =>
    spansOf(stepOf(of, "last-wave-done", [proved], [cluster("assigned")])).flatMap(({ key = [] }) => key);
  const keys = [...keysOf(last), ...keysOf({ ...last, id: "ro_2" as RolloutId })];
  assert.equal(keys.length, 6);
  assert.equal(new Set(keys).size, keys.length);
});

test("what an agent tells beyond the code of a failure, such as pieces of a bundle, is in no span", () => {
  const told = (code: string, secret: string) => `agent "node-1" rejected it: ${code}: line 3: ${secret}`;
  const now = {
    ...proved,
    to: "failed",
    reason: told("rules/invalid", "password=one (two), three"),
  } as const;
  const earlier = cluster("failed", {
    id: "cl_2",
    name: "eu-2",
    reason: told("rules/limits", "password=four"),
  });
  const because = `2 failed, 0 allowed: eu-1 (${now.reason}), eu-2 (${earlier.reason})`;
  const step = stepOf(rollout, "fail-and-roll-back", [now], [cluster("assigned"), earlier]);
  const spans = spansOf({ ...step, because });
  assert.equal(spans.length, 4);
  assert.doesNotMatch(JSON.stringify(spans), /password|line 3|three/);
  const short = (code: string) => `agent "node-1" rejected it: ${code}`;
  assert.equal(
    spans[0]?.attributes["falconry.because"],
    `2 failed, 0 allowed: eu-1 (${short("rules/invalid")}), eu-2 (${short("rules/limits")})`,
  );
  assert.equal(spans[1]?.error, short("rules/invalid"));
  const bare = { ...now, reason: 'agent "node-1" went back by itself: password=five' };
  assert.equal(
    spansOf(stepOf(rollout, undefined, [bare], [cluster("assigned")]))[1]?.error,
    'agent "node-1" went back by itself',
  );
});
