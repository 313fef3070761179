import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createDetector, loadRules } from "#engine";
import { readRulesFiles } from "../cli/rules/rules-files.ts";
import { renderRuleTests } from "../cli/output/rule-tests.ts";
import { runRuleTests } from "../cli/rules/test-runner.ts";

const pack = join(import.meta.dirname, "starter");
const testFiles = readdirSync(join(pack, "tests")).map((name) => join(pack, "tests", name));
const results = runRuleTests(testFiles);
const { ok, ruleset, results: loading } = loadRules(readRulesFiles([pack]));

test("the starter pack loads without an error and without a warning", () => {
  assert.ok(ok);
  for (const { errors, warnings } of loading) assert.deepEqual([...errors, ...warnings], []);
  assert.ok(ruleset.rules.length >= 60, `${ruleset.rules.length} rules`);
});

test("every example of the starter pack raises exactly the alerts it names", () => {
  assert.ok(results.length >= 2 * ruleset.rules.length, `${results.length} examples`);
  assert.ok(
    results.every(({ failures }) => failures.length === 0),
    renderRuleTests(results).join("\n"),
  );
});

for (const { name } of ruleset.rules) {
  test(`${name}: the pack shows what raises it and what comes close and does not`, () => {
    const examples = results
      .map((result) => result.name)
      .filter((example) => example.startsWith(`${name}: `));
    assert.ok(
      examples.some((example) => example.startsWith(`${name}: fires `)),
      "an example that fires",
    );
    assert.ok(
      examples.some((example) => example.startsWith(`${name}: is silent `)),
      "an example that does not",
    );
  });
}

const exec = JSON.stringify({
  kind: "Event",
  auditID: "a",
  stage: "ResponseStarted",
  verb: "get",
  user: { username: "system:serviceaccount:backup:archiver" },
  objectRef: { resource: "pods", subresource: "exec", namespace: "payments", name: "db-0" },
  responseStatus: { code: 101 },
  stageTimestamp: "2026-01-01T00:00:00Z",
});
const secrets = exec
  .replace("ResponseStarted", "ResponseComplete")
  .replace('"subresource":"exec",', "")
  .replace('"get"', '"list"')
  .replace('"pods","namespace":"payments"', '"secrets"')
  .replace("101", "200");

/** The rules that fire on both events when the layer comes after the pack. */
function firedWith(layer: string): readonly string[] {
  const report = loadRules([...readRulesFiles([pack]), { name: "layer.yaml", content: layer }]);
  assert.ok(report.ok, JSON.stringify(report.results.at(-1)));
  const detector = createDetector(report.ruleset, { hostname: "test" });
  return [exec, secrets].flatMap((line) => detector.detect(line).alerts.map(({ rule }) => rule));
}

test("a layer quiets one account without touching a rule, by a list or by the exception a rule offers", () => {
  assert.deepEqual(firedWith(""), ["Exec Into Pod", "Secrets Of All Namespaces Read By Program"]);
  const byList = `
- list: secret_readers
  items: [system:serviceaccount:backup:archiver]
  override: { items: append }
`;
  assert.deepEqual(firedWith(byList), ["Exec Into Pod"]);
  const byException = `
- rule: Exec Into Pod
  exceptions:
    - name: approved_tool
      values: [[system:serviceaccount:backup:archiver, payments]]
  override: { exceptions: append }
`;
  assert.deepEqual(firedWith(byException), ["Secrets Of All Namespaces Read By Program"]);
});

test("every rule says what it means, names a MITRE technique and shows who did it from where", () => {
  for (const rule of ruleset.rules) {
    assert.equal(rule.source, "k8s_audit", rule.name);
    assert.equal(rule.enabled, true, rule.name);
    assert.ok(rule.desc.length > 20, rule.name);
    // A canary is nobody's technique.
    const isCanary = rule.tags.includes("canary");
    assert.ok(
      isCanary || rule.tags.some((tag) => /^T1\d{3}(\.\d{3})?$/.test(tag)),
      `${rule.name}: ${rule.tags.join(" ")}`,
    );
    assert.ok(isCanary || rule.tags.some((tag) => tag.startsWith("mitre_")), rule.name);
    assert.ok(
      rule.output.includes("%jevt.value[/sourceIPs]"),
      `${rule.name}: all addresses, the last is the true one`,
    );
    const knowsUser = rule.output.includes("%ka.user.name") || /Anonymous|Login Refused/.test(rule.name);
    assert.ok(knowsUser, rule.name);
  }
});
