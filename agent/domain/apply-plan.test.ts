import assert from "node:assert/strict";
import { test } from "node:test";
import { metadataKeys, planApply } from "./apply-plan.ts";
import type { ApplyState, Target } from "./apply-plan.ts";

const rules: Target = { kind: "rules", path: "rules/starter/1.0.0.json", length: 10, sha256: "aa" };
const shipper: Target = { kind: "shipper", path: "shipper/default/1.0.0.json", length: 10, sha256: "bb" };
const state: ApplyState = {
  assignment: { generation: 3, targets: [shipper, rules] },
  running: {},
  rejections: {},
  metadata: { root: 1, targets: 1, snapshot: 1, timestamp: 1 },
};

test("planApply() takes the rules first, so that no record is shipped past them", () => {
  assert.equal(planApply(state).apply, rules);
  assert.equal(planApply({ ...state, running: { rules: "aa" } }).apply, shipper);
});

test("planApply() holds the shipper back while no rules run and theirs were refused", () => {
  const rejections = { rules: { generation: 3, sha256: "aa", metadata: "targets 1" } };
  const plan = planApply({ ...state, rejections });
  assert.equal(plan.apply, undefined);
  assert.match(plan.because, /waits until rules run/);
});

test("planApply() does not try a refused bundle again until the generation or the metadata changes", () => {
  const running = { rules: "a0", shipper: "bb" };
  const rejections = { rules: { generation: 3, sha256: "aa", metadata: "targets 1" } };
  assert.equal(planApply({ ...state, running, rejections }).apply, undefined);
  assert.equal(
    planApply({ ...state, running, rejections, metadata: { ...state.metadata, targets: 2 } }).apply,
    rules,
  );
  const later = { generation: 4, targets: [rules, shipper] };
  assert.equal(planApply({ ...state, running, rejections, assignment: later }).apply, rules);
});

test("planApply() keeps what runs when the assignment no longer names the kind", () => {
  const only = { generation: 4, targets: [shipper] };
  const plan = planApply({ ...state, assignment: only, running: { rules: "aa", shipper: "bb" } });
  assert.equal(plan.apply, undefined);
});

test("planApply() tries a bundle again that trust refused as soon as any metadata is newer, as after an expiry", () => {
  const running = { rules: "a0", shipper: "bb" };
  const { all } = metadataKeys(state.metadata);
  const rejections = { rules: { generation: 3, sha256: "aa", metadata: all } };
  assert.equal(planApply({ ...state, running, rejections }).apply, undefined);
  const metadata = { ...state.metadata, timestamp: 2 };
  assert.equal(planApply({ ...state, running, rejections, metadata }).apply, rules);
});

test("planApply() goes back to an earlier bundle, and tries a refused one again when it is assigned anew", () => {
  const rejections = { rules: { generation: 3, sha256: "aa", metadata: "targets 1" } };
  const earlier: Target = { ...rules, sha256: "a0" };
  const running = { rules: "aa", shipper: "bb" };
  const undone = { generation: 4, targets: [earlier, shipper] };
  assert.equal(planApply({ ...state, running, assignment: undone }).apply, earlier);
  const anew = { generation: 5, targets: [rules, shipper] };
  const back = { rules: "a0", shipper: "bb" };
  assert.equal(planApply({ ...state, running: back, rejections, assignment: anew }).apply, rules);
});

test("planApply() says that a shipper waits for rules which nobody has assigned", () => {
  const plan = planApply({ ...state, assignment: { generation: 4, targets: [shipper] } });
  assert.deepEqual([plan.apply, plan.isWaiting], [undefined, true]);
});
