import assert from "node:assert/strict";
import { test } from "node:test";
import { loadRules } from "./load.ts";

const rule = "- rule: r\n  desc: d\n  condition: ka.verb exists\n  output: o\n  source: k8s_audit\n";

const cases: readonly [string, string, "ok" | "failed" | "none", readonly string[]][] = [
  ["a whole rule", `${rule}  priority: WARNING\n  tags: [a]\n  enabled: yes\n`, "ok", []],
  [
    "versions as a number and as a text",
    '- required_engine_version: 31\n- required_engine_version: "0.31.0"\n',
    "ok",
    [],
  ],
  [
    "plugins with alternatives",
    "- required_plugin_versions:\n  - {name: json, version: 0.7.0, alternatives: [{name: k8saudit, version: 0.18.0}]}\n",
    "ok",
    [],
  ],
  ["an empty file", "", "none", []],
  ["only a comment", "# nothing\n", "none", []],
  ["no YAML", "- [", "none", []],
  [
    "a priority that the loader takes in any case",
    `${rule}  priority: Warning\n`,
    "failed",
    ["failed for <root>[0][priority]: expected a priority in capitals, such as WARNING, found 'Warning'"],
  ],
  [
    "a key nobody knows",
    `${rule}  priority: WARNING\n  colour: red\n`,
    "failed",
    ["failed for <root>[0]: the rules schema has no key 'colour' here"],
  ],
  [
    "a key inside an exception that the loader passes over",
    `${rule}  priority: WARNING\n  exceptions: [{name: e, fields: ka.verb, value: [a]}]\n`,
    "failed",
    ["failed for <root>[0][exceptions][0]: the rules schema has no key 'value' here"],
  ],
  [
    "an operation that is none",
    "- {list: l, items: [a], override: {items: merge}}\n",
    "failed",
    ["failed for <root>[0][override][items]: expected append or replace, found 'merge'"],
  ],
  ["a map", "a: b\n", "failed", ["failed for <root>: expected a sequence, found a mapping"]],
  [
    "the second document",
    "- {list: l, items: [a]}\n---\n- {list: m, items: [[a]]}\n",
    "failed",
    ["failed for <root>[0][items][0]: expected a text, found a sequence"],
  ],
  [
    "a spelling of every object",
    "- {__proto__: x}\n",
    "failed",
    ["failed for <root>[0]: the rules schema has no key '__proto__' here"],
  ],
];
for (const [what, content, valid, warnings] of cases) {
  test(`the schema says ${valid} to ${what}`, () => {
    const [result] = loadRules([{ name: "r.yaml", content }]).results;
    assert.deepEqual([result?.schema_valid, result?.schema_warnings], [valid, warnings]);
  });
}

test("the schema never decides whether a file loads", () => {
  const { ok } = loadRules([{ name: "r.yaml", content: `${rule}  priority: warning\n  colour: red\n` }]);
  assert.equal(ok, true);
});

test("a file that does not fit anywhere is described within bounds", () => {
  const content = "- {colour: red}\n".repeat(5000);
  const [result] = loadRules([{ name: "r.yaml", content }]).results;
  assert.equal(result?.schema_warnings.length, 101);
  assert.equal(result?.schema_warnings.at(-1), "and 4900 more that do not fit");
});
