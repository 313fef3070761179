import assert from "node:assert/strict";
import { test } from "node:test";

import { matchesSelector, parseSelector, type Requirement } from "./selector.ts";

const labels = { region: "eu", team: "payments" };
const cases: [string, Requirement[], boolean][] = [
  ["nothing chooses everything", [], true],
  ["in with the value", [{ key: "region", operator: "in", values: ["us", "eu"] }], true],
  ["in without the value", [{ key: "region", operator: "in", values: ["us"] }], false],
  ["in on a missing label", [{ key: "tribe", operator: "in", values: ["us"] }], false],
  ["not-in with the value", [{ key: "region", operator: "not-in", values: ["eu"] }], false],
  ["not-in on a missing label", [{ key: "tribe", operator: "not-in", values: ["eu"] }], true],
  ["exists", [{ key: "team", operator: "exists" }], true],
  ["not-exists", [{ key: "team", operator: "not-exists" }], false],
  ["a key that every object inherits", [{ key: "constructor", operator: "exists" }], false],
  [
    "one of two that does not hold",
    [
      { key: "team", operator: "exists" },
      { key: "tribe", operator: "exists" },
    ],
    false,
  ],
];
for (const [name, selector, want] of cases) {
  test(`matchesSelector() ${want ? "chooses" : "leaves out"}: ${name}`, () => {
    assert.equal(matchesSelector(selector, labels), want);
  });
}

test("parseSelector() names every bad requirement at once", () => {
  const outcome = parseSelector("selector", [
    { key: "region", operator: "in", values: [] },
    { key: "bad key", operator: "exists", values: [] },
    { key: "team", operator: "exists", values: ["x"] },
    { key: "team", operator: "near", values: ["x"] },
    { key: "team", operator: "in", values: ["no spaces"] },
  ]);
  assert.ok(!outcome.ok && outcome.refusal.kind === "invalid");
  assert.deepEqual(
    outcome.refusal.problems.map((problem) => problem.field),
    ["selector[0]", "selector[1]", "selector[2]", "selector[3]", "selector[4]"],
  );
});

test("parseSelector() refuses more than it is willing to look at", () => {
  const many = Array.from({ length: 33 }, () => ({ key: "a", operator: "exists", values: [] }));
  assert.ok(!parseSelector("selector", many).ok);
  const values = Array.from({ length: 257 }, (_, i) => `v${i}`);
  assert.ok(!parseSelector("selector", [{ key: "a", operator: "in", values }]).ok);
});
