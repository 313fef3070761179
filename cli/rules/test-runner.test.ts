import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { renderTestResults, runRuleTests, type TestResult } from "./test-runner.ts";

const rules = `
- rule: Secret Read
  desc: Somebody read a secret.
  condition: ka.stage = ResponseComplete and ka.verb = get and ka.target.resource = secrets
  output: A secret was read (user=%ka.user.name)
  priority: WARNING
  source: k8s_audit
- rule: Anything Read
  desc: Somebody read something.
  condition: ka.stage = ResponseComplete and ka.verb = get
  output: Something was read
  priority: NOTICE
  source: k8s_audit
`;
const secretRead = `{ verb: get, user: { username: mallory }, objectRef: { resource: secrets } }`;

function run(
  t: TestContext,
  testFile: string,
  files: Readonly<Record<string, string>> = {},
): readonly TestResult[] {
  const folder = mkdtempSync(join(tmpdir(), "rule-tests-"));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries({ "rules.yaml": rules, "test.yaml": testFile, ...files })) {
    writeFileSync(join(folder, name), text);
  }
  return runRuleTests([join(folder, "test.yaml")]);
}

const failuresOf = (results: readonly TestResult[]): string =>
  results.flatMap(({ failures }) => failures).join("\n");

test("a test passes when exactly the named alerts fire and their outputs say what they should", (t) => {
  const results = run(
    t,
    `rules: [rules.yaml]
tests:
  - name: reads
    inline_events: [${secretRead}, ${secretRead}, { verb: list, user: { username: a } }]
    expect: { load: ok, alerts: { Secret Read: 2 }, output_contains: ["user=mallory"] }`,
  );
  assert.equal(renderTestResults(results), "1 passed, 0 failed");
});

test("a missing alert, a surplus alert and a missing word each fail with a sentence", (t) => {
  const results = run(
    t,
    `rules: [rules.yaml]
tests:
  - name: missing
    inline_events: [{ verb: list, user: { username: a } }]
    expect: { alerts: { Secret Read: 1 } }
  - name: surplus
    inline_events: [${secretRead}]
    expect: {}
  - name: words
    inline_events: [${secretRead}]
    expect: { alerts: { Secret Read: 1 }, output_contains: ["user=alice"] }`,
  );
  const [missing, surplus, words] = results.map(({ failures }) => failures.join());
  assert.equal(missing, "Secret Read: fired 0 times, should fire 1 times");
  assert.equal(surplus, "Secret Read: fired 1 times, should not fire");
  assert.match(words ?? "", /no alert says "user=alice"; they say:\n.*user=mallory/);
  assert.match(renderTestResults(results), /FAILED .*test\.yaml: surplus[\s\S]*\n0 passed, 3 failed$/);
});

test("rule_matching all lets every matching rule fire, as Falco does when told so", (t) => {
  const results = run(
    t,
    `rules: [rules.yaml]
rule_matching: all
tests:
  - name: both
    inline_events: [${secretRead}]
    expect: { alerts: { Secret Read: 1, Anything Read: 1 } }`,
  );
  assert.equal(failuresOf(results), "");
});

test("events come from files of JSON lines, and a line that is no event fails the test", (t) => {
  const event =
    '{"kind":"Event","auditID":"a","stage":"ResponseComplete","verb":"get","objectRef":{"resource":"secrets"},"stageTimestamp":"2026-01-01T00:00:00Z"}';
  const file = (name: string) => `rules: [rules.yaml]
tests:
  - name: from a file
    events: [${name}]
    expect: { alerts: { Secret Read: 2 } }`;
  const files = { "good.jsonl": `${event}\n\n${event}\n`, "bad.jsonl": `${event}\n{"half":\n${event}\n` };
  assert.equal(failuresOf(run(t, file("good.jsonl"), files)), "");
  assert.match(failuresOf(run(t, file("bad.jsonl"), files)), /an event was not understood/);
  assert.match(failuresOf(run(t, file("none.jsonl"), files)), /none\.jsonl/);
});

test("a test may expect that rules do not load, and by which code", (t) => {
  const files = { "broken.yaml": rules.replace("ka.verb = get", "no_such_macro") };
  const expecting = (load: string) => `rules: [broken.yaml]
tests:
  - name: does not load
    inline_events: [${secretRead}]
    expect: { load: ${load} }`;
  assert.equal(failuresOf(run(t, expecting("error"), files)), "");
  assert.equal(failuresOf(run(t, expecting("LOAD_ERR_VALIDATE"), files)), "");
  assert.match(
    failuresOf(run(t, expecting("LOAD_ERR_YAML_PARSE"), files)),
    /fail with LOAD_ERR_VALIDATE instead of/,
  );
  assert.match(failuresOf(run(t, expecting("ok"), files)), /do not load:[\s\S]*no_such_macro/);
  const fine = expecting("error").replace("broken", "rules");
  assert.match(failuresOf(run(t, fine, files)), /the rules load, but should fail/);
});

test("a test file that makes no sense names every problem and passes nothing", (t) => {
  const results = run(t, "rules: []\ntests:\n  - expects: {}\n  - 7\n");
  const failures = failuresOf(results);
  for (const part of [
    "rules: name at least one",
    'tests[0]: unknown key "expects"',
    "tests[0].name",
    "tests[1]: give a map",
  ]) {
    assert.ok(failures.includes(part), failures);
  }
  assert.match(failuresOf(run(t, "rules: [")), /./);
  assert.match(failuresOf(runRuleTests(["/no/such/test.yaml"])), /\/no\/such\/test\.yaml/);
});
