import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { createEventStream, loadRules } from "#engine";
import { canBeExcused } from "./excusable.ts";
import { renderOverrideFile } from "./override-file.ts";

const content = `
- rule: Read
  desc: d
  condition: ka.verb = get
  output: o
  priority: INFO
  source: k8s_audit
  exceptions:
    - name: known
      fields: [ka.user.name, ka.target.name]
      comps: [=, =]
      values: [[alice, api]]
`;
const base = { name: "rules.yaml", content };
const event = (user: string, name: string) =>
  JSON.stringify({
    kind: "Event",
    auditID: "a",
    stageTimestamp: "2026-01-01T00:00:00Z",
    verb: "get",
    user: { username: user },
    objectRef: { name },
  });

function load(values: readonly (readonly [string, string])[]) {
  const fields = ["ka.user.name", "ka.target.name"];
  const proposals = values.map((pair) => ({
    rule: "Read",
    fields,
    comps: ["=", "="],
    values: pair,
    alerts: 5,
  }));
  const override = renderOverrideFile(proposals, loadRules([base]).ruleset);
  const report = loadRules([base, { name: "override.yaml", content: override }]);
  assert.ok(report.ok, JSON.stringify(report.results));
  return { override, ruleset: report.ruleset };
}

test("renderOverrideFile() adds values to an exception that the rule already has for the same fields", () => {
  const { override, ruleset } = load([["bob", "db"]]);
  assert.match(
    override,
    /- name: known\n {6}values:\n {8}- \[bob, db\]\n {2}override:\n {4}exceptions: append/,
  );
  assert.deepEqual(ruleset.rules[0]?.exceptions, [
    {
      name: "known",
      fields: ["ka.user.name", "ka.target.name"],
      comps: ["=", "="],
      values: [
        ["alice", "api"],
        ["bob", "db"],
      ],
    },
  ]);
});

test("renderOverrideFile() excuses exactly the values it was given, whatever stands in them", () => {
  const value = fc.string({ maxLength: 30, unit: "grapheme" }).filter(canBeExcused);
  fc.assert(
    fc.property(value, value, fc.string(), (user, name, other) => {
      const stream = createEventStream(load([[user, name]]).ruleset, { hostname: "h" });
      assert.equal(stream.take(event(user, name)).alerts.length, 0);
      if (other !== user) assert.equal(stream.take(event(other, name)).alerts.length, 1);
    }),
    { examples: [[" ", "/api?watch=1", ""]] },
  );
});
