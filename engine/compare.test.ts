import assert from "node:assert/strict";
import { test } from "node:test";
import { compareRuleSets, loadRules } from "./index.ts";

const base = `
- list: users
  items: [alice]
- macro: known
  condition: ka.user.name in (users)
- rule: One
  desc: d
  condition: ka.verb = get and known
  output: o
  priority: INFO
  source: k8s_audit
  exceptions:
    - name: tools
      fields: [ka.useragent, ka.verb]
      values: [[kubectl, get]]
- rule: Two
  desc: d
  condition: ka.verb = list
  output: o
  priority: INFO
  source: k8s_audit
`;
const rulesetOf = (...texts: readonly string[]) => {
  const report = loadRules(texts.map((content, index) => ({ name: `${index}.yaml`, content })));
  assert.ok(report.ok, JSON.stringify(report.results));
  return report.ruleset;
};
const compare = (...more: readonly string[]) => compareRuleSets(rulesetOf(base), rulesetOf(base, ...more));

test("compareRuleSets() sees no difference in renamed macros and moved text", () => {
  const renamed = base
    .replaceAll("known", "familiar")
    .replace("condition: ka.verb = list", "condition: 'ka.verb=list'");
  const { added, removed, changed, reordered } = compareRuleSets(rulesetOf(base), rulesetOf(renamed));
  assert.deepEqual(
    { added, removed, changed, reordered },
    { added: [], removed: [], changed: [], reordered: false },
  );
});

test("compareRuleSets() follows a list into every rule that it reaches", () => {
  const { changed } = compare("- list: users\n  items: [bob]\n  override: { items: append }\n");
  assert.deepEqual(changed, [
    {
      name: "One",
      changes: [
        {
          what: "condition",
          before: "(ka.verb = get and ka.user.name in (alice))",
          after: "(ka.verb = get and ka.user.name in (alice, bob))",
        },
      ],
      exceptions: [],
    },
  ]);
});

test("compareRuleSets() tells an exception's new values from a new exception, and neither from the condition", () => {
  const { changed } = compare(`
- rule: One
  exceptions:
    - name: tools
      values: [[helm, get]]
    - name: people
      fields: [ka.user.name]
      values: [[carol]]
  override: { exceptions: append }
`);
  assert.deepEqual(changed, [
    {
      name: "One",
      changes: [],
      exceptions: [
        { name: "tools", kind: "values", added: [["helm", "get"]], removed: [] },
        { name: "people", kind: "added", added: [["carol"]], removed: [] },
      ],
    },
  ]);
});

test("compareRuleSets() names rules that are added, removed, disabled and in another order", () => {
  const two = base.slice(base.indexOf("- rule: Two"));
  const turned = two + base.slice(0, base.indexOf("- rule: Two"));
  assert.equal(compareRuleSets(rulesetOf(base), rulesetOf(turned)).reordered, true);
  assert.deepEqual(compareRuleSets(rulesetOf(base), rulesetOf(two)).removed, ["One"]);
  assert.deepEqual(compareRuleSets(rulesetOf(two), rulesetOf(base)).added, ["One"]);
  const off = "- rule: Two\n  enabled: false\n  override: { enabled: replace }\n";
  assert.deepEqual(compare(off).disabled, ["Two"]);
  assert.deepEqual(compareRuleSets(rulesetOf(base, off), rulesetOf(base)).enabled, ["Two"]);
});
