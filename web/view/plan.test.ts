import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { PlanSchema, RolloutSchema, RolloutState } from "#proto/fleet/v1/rollout";
import { decisionsFor } from "./decisions.ts";
import { gatesText, planNotes, reachText } from "./plan.ts";

type RolloutInit = Exclude<MessageInitShape<typeof RolloutSchema>, { $typeName: string }>;
type PlanInit = Exclude<MessageInitShape<typeof PlanSchema>, { $typeName: string }>;

const rolloutOf = (some: RolloutInit = {}) =>
  create(RolloutSchema, {
    state: RolloutState.AWAITING_APPROVAL,
    pending: true,
    planDigest: "sha256:a",
    spec: {},
    ...some,
  });
const planOf = (some: PlanInit = {}) =>
  create(PlanSchema, { digest: "sha256:a", gates: [{ name: "alerts", limit: "3x" }], ...some });
const textsOf = (...of: Parameters<typeof planNotes>) => planNotes(...of).map(({ text }) => text);

test("nobody is offered to approve a plan that is not on the screen, or is not the rollout's any more", () => {
  const verbs = (some: RolloutInit, shown?: string) =>
    decisionsFor(rolloutOf(some), shown).map(({ verb }) => verb);
  assert.deepEqual(verbs({}, "sha256:a"), ["Approve", "Reject", "Abort"]);
  const pauses = "Pause it: its plan has changed";
  assert.deepEqual(verbs({}, "sha256:b"), [pauses, "Reject", "Abort"]);
  assert.deepEqual(verbs({}), ["Reject", "Abort"]);
  assert.deepEqual(
    verbs({ state: RolloutState.SCHEDULED }, "sha256:b"),
    ["Reject", "Abort"],
    "at its time it pauses",
  );
  const overtaken = { state: RolloutState.PAUSED };
  assert.deepEqual(verbs(overtaken, "sha256:b"), ["Take the new plan", "Abort"]);
  assert.deepEqual(verbs(overtaken), ["Abort"]);
});

test("a rollout that has ended offers no pause, and one that goes on no approval", () => {
  const verbs = (state: RolloutState) =>
    decisionsFor(rolloutOf({ state, pending: false }), undefined).map(({ verb }) => verb);
  assert.deepEqual(verbs(RolloutState.SUCCEEDED), ["Undo"]);
  assert.deepEqual(verbs(RolloutState.ROLLED_BACK), []);
  assert.deepEqual(verbs(RolloutState.RUNNING), ["Pause", "Abort", "Undo"]);
  assert.deepEqual(verbs(RolloutState.PAUSED), ["Resume", "Abort", "Undo"]);
});

test("who approves is told when no wave is watched, coverage is lost, the plan has changed, or a cluster cannot take it", () => {
  assert.deepEqual(textsOf(planOf(), rolloutOf()), [], "a plan with nothing against it");
  const [watched] = textsOf(planOf({ gates: [{ name: "health" }] }), rolloutOf());
  assert.match(watched ?? "", /^No wave is watched: without a soak/);
  const emergency = rolloutOf({ spec: { emergency: true } });
  assert.doesNotMatch(textsOf(planOf({ gates: [] }), emergency).join(), /watched/, "it has none on purpose");
  const lost = planOf({ diffs: [{ loss: { removed: ["Exec into pod"] } }] });
  assert.match(
    textsOf(lost, rolloutOf({ spec: { allowCoverageLoss: true } })).join(),
    /Coverage is lost, and who started it allows/,
  );
  const changed = (state: RolloutState) =>
    textsOf(planOf({ digest: "sha256:b" }), rolloutOf({ state })).join();
  assert.match(
    changed(RolloutState.AWAITING_APPROVAL),
    /it was a and is b now\. .* neither be approved.* has the rollout paused, .* takes the new plan/,
  );
  assert.match(changed(RolloutState.SCHEDULED), /when its time comes the rollout is paused/);
  assert.match(changed(RolloutState.PAUSED), /This is the new one/);
  const old = planOf({
    engineProblems: [{ clusterName: "eu-1", engineVersion: "0.60.0", required: "0.62.0" }],
  });
  assert.match(textsOf(old, rolloutOf()).join(), /engine 0\.62\.0.*eu-1 \(engine 0\.60\.0\)/);
  const silent = textsOf(planOf({ silent: ["tr-1"], held: "frozen" }), rolloutOf()).join();
  assert.match(silent, /Silent now, they will hold up .*: tr-1\..*would not begin now: frozen/);
});

test("a plan says how far it goes, where it stops, and by what its waves are judged", () => {
  const plan = planOf({
    bundle: { name: "starter", version: "1.1.0" },
    waves: [{ clusters: [{}, {}] }, { clusters: [{}] }],
    unchanged: ["us-1"],
    maxFailures: 1,
    gates: [{ name: "health" }, { name: "lag", limit: "30s" }, { name: "cost", limit: "3x", off: true }],
  });
  assert.equal(
    reachText(plan),
    "starter@1.1.0 to 3 clusters in 2 waves; 1 cluster runs it already. It stops when more than 1 cluster failed.",
  );
  assert.equal(gatesText(plan), "Judged by proof, health, lag 30s.");
});
