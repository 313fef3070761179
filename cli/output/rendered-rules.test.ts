import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { diffRules, loadRules, traceRules } from "#engine";
import { renderRules } from "./rendered-rules.ts";

const starter = readFileSync(new URL("../../rules/starter/k8s-audit.yaml", import.meta.url), "utf8");

const tuned = `- list: secret_readers
  items: [velero, "two words"]
  override: {items: append}
- rule: Exec Into Pod
  condition: and not ka.target.namespace = sandbox
  exceptions:
    - name: approved_tool
      values: [[velero, payments]]
  priority: CRITICAL
  override: {condition: append, exceptions: append, priority: replace}
- rule: Mine
  desc: "a \\u001b[31m tab\\t and\\n  lines"
  condition: >
    late or
    ka.user.name = "a  b"
  output: |
    Mine
    (user=%ka.user.name)
  priority: INFO
  source: k8s_audit
`;
const files = [
  { name: "k8s-audit.yaml", content: `- macro: late\n  condition: ka.verb = get\n${starter}` },
  { name: "layers/team-a/tune.yaml", content: tuned },
  {
    name: "layers/cluster-x/tune.yaml",
    content:
      "- macro: newer\n  condition: ka.verb = put\n- macro: late\n  condition: newer or ka.verb = list\n",
  },
];
const lines = renderRules(traceRules(files));

test("renderRules() writes rules that load again to the same rules, whatever layers appended, replaced and redefined", () => {
  const before = loadRules(files);
  const after = loadRules([{ name: "rendered.yaml", content: lines.join("\n") }]);
  assert.ok(before.ok && after.ok);
  assert.deepEqual(diffRules(before.ruleset, after.ruleset), { added: [], removed: [], changed: [] });
  assert.deepEqual(
    after.ruleset.rules.map(({ name }) => name),
    before.ruleset.rules.map(({ name }) => name),
    "and in the same order",
  );
});

/** The file and line that a rendered line names, with the text that stands there. */
function originOf(rendered: string): readonly string[] {
  const [, place = "", line = ""] = /# (\S+?):(\d+)(?:,|$)/.exec(rendered) ?? [];
  const content = files.find(({ name }) => name === place)?.content ?? "";
  return [place, content.split("\n")[Number(line) - 1] ?? ""];
}

test("renderRules() points at the file and line that says it, for what the base says and what a layer adds", () => {
  const at = lines.findIndex((line) => line.startsWith("- rule: Exec Into Pod "));
  const rule = lines.slice(at, lines.indexOf("", at));
  const priority = rule.find((line) => line.includes("priority: CRITICAL")) ?? "";
  assert.deepEqual(originOf(priority), ["layers/team-a/tune.yaml", "  priority: CRITICAL"]);
  assert.match(priority, /in place of k8s-audit\.yaml:\d+$/);
  const value = rule.find((line) => line.includes("[velero, payments]")) ?? "";
  assert.deepEqual(originOf(value), ["layers/team-a/tune.yaml", "      values: [[velero, payments]]"]);
  assert.match(originOf(rule[0] ?? "")[1] ?? "", /^- rule: Exec Into Pod$/);
  const condition = rule.find((line) => line.includes("  condition: >-")) ?? "";
  assert.match(condition, /# k8s-audit\.yaml:\d+, then layers\/team-a\/tune\.yaml:5$/);
  assert.ok(rule.includes("    and not ka.target.namespace = sandbox"));
});

test("renderRules() lets no text of a rule steer the terminal", () => {
  // oxlint-disable-next-line no-control-regex -- control characters are what this is about
  assert.doesNotMatch(lines.join(""), /[\u0000-\u001f\u007f]/);
});
