import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { renderRuleTests } from "../output/rule-tests.ts";
import { runRuleTests, type TestOptions, type TestResult } from "./test-runner.ts";

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
  options: TestOptions = {},
): readonly TestResult[] {
  const folder = mkdtempSync(join(tmpdir(), "rule-tests-"));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries({ "rules.yaml": rules, "test.yaml": testFile, ...files })) {
    writeFileSync(join(folder, name), text);
  }
  return runRuleTests([join(folder, "test.yaml")], options);
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
  assert.deepEqual(renderRuleTests(results), ["1 passed, 0 failed"]);
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
  assert.equal(missing, "Secret Read: fired 0 times, should fire once");
  assert.equal(surplus, "Secret Read: fired once, should not fire");
  assert.match(words ?? "", /no alert says "user=alice"; they say:\n.*user=mallory/);
  assert.match(
    renderRuleTests(results).join("\n"),
    /FAILED .*test\.yaml:6: surplus[\s\S]*\n0 passed, 3 failed$/,
  );
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

test("events come from files of JSON lines, and a line that is no event is noted, or fails a strict test", (t) => {
  const event =
    '{"kind":"Event","auditID":"a","stage":"ResponseComplete","verb":"get","objectRef":{"resource":"secrets"},"stageTimestamp":"2026-01-01T00:00:00Z"}';
  const file = (name: string) => `rules: [rules.yaml]
tests:
  - name: from a file
    events: [${name}]
    expect: { alerts: { Secret Read: 2 } }`;
  const files = { "good.jsonl": `${event}\n\n${event}\n`, "bad.jsonl": `${event}\n{"half":\n${event}\n` };
  assert.equal(failuresOf(run(t, file("good.jsonl"), files)), "");
  const [noted] = run(t, file("bad.jsonl"), files);
  assert.deepEqual(noted?.failures, []);
  assert.match(noted?.notes.join() ?? "", /an event was not understood/);
  const strict = run(t, file("bad.jsonl"), files, { isStrict: true });
  assert.match(failuresOf(strict), /an event was not understood/);
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

test("a test that makes no sense fails alone, with every problem and its line", (t) => {
  const results = run(
    t,
    `tests:
  - expect: {}
  - 7
  - inline_rules: ""
    expect: { alert: {}, load: fine }
  - { name: fine, inline_rules: "", expect: {} }
`,
  );
  assert.deepEqual(
    results.map(({ failures }) => failures),
    [
      ["line 2: neither it nor the file has rules or inline_rules"],
      ['line 3: give a map, not "7"'],
      [
        "line 5: expect.alert: unknown key; write alerts",
        'line 5: expect.load: give ok, warning, error or a code such as LOAD_ERR_VALIDATE, not "fine"',
      ],
      [],
    ],
  );
});

test("a file that is no test file is a failed test that says what it is", (t) => {
  for (const [text, words] of [
    [rules, /this is a rules file, not a test file; fleetctl rules validate checks it/],
    ["rules: [", /the file is no YAML: [\s\S]*line 1/],
    ["tests: []", /line 1: tests: there are no tests/],
    ["tests: {}\n---\ntests: {}", /several YAML documents; put all tests into one list/],
    [
      "rules: [a.yaml]\nrule_files: [b.yaml]\ntests: [{ expect: {} }]",
      /line 2: rule_files: unknown key; write rules/,
    ],
  ] as const) {
    const [only, ...others] = run(t, text);
    assert.deepEqual(others, []);
    assert.match(only?.failures.join("\n") ?? "", words);
  }
  assert.match(failuresOf(runRuleTests(["/no/such/test.yaml"])), /cannot be read: .*\/no\/such\/test\.yaml/);
});

test("rules may stand in the file, and a test may bring its own rules, matching and minimum priority", (t) => {
  const indented = rules.trim().replaceAll("\n", "\n  ");
  const results = run(
    t,
    `inline_rules: |
  ${indented}
rule_matching: all
tests:
  - name: the file's rules
    inline_events: [${secretRead}]
    expect: { alerts: { Secret Read: 1, Anything Read: 1 } }
  - name: its own matching
    rule_matching: first
    inline_events: [${secretRead}]
    expect: { alerts: [Secret Read] }
  - name: its own priority
    minimum_priority: warning
    inline_events: [${secretRead}]
    expect: { alerts: { Secret Read: 1, Anything Read: 0 } }
  - name: its own rules
    inline_rules: |
      - rule: Mine
        desc: d
        condition: ka.verb = get
        output: mine
        priority: INFO
        source: k8s_audit
    inline_events: [${secretRead}]
    expect: { alerts: { Mine: 1 }, output_contains: mine }
  - name: a file of rules
    rules: rules.yaml
    rule_matching: first
    inline_events: [${secretRead}]
    expect: { alerts: { Secret Read: 1 } }`,
  );
  assert.deepEqual(renderRuleTests(results), ["5 passed, 0 failed"]);
});

test("a test may ask for Falco's own answer where the two differ", (t) => {
  const results = run(
    t,
    `inline_rules: |
  - rule: From
    desc: d
    condition: ka.sourceips intersects (192.0.2.1)
    output: o
    priority: INFO
    source: k8s_audit
tests:
  - name: fixed
    inline_events: [${secretRead}]
    expect: { alerts: { From: 1 } }
  - name: strict
    compat: strict
    inline_events: [${secretRead}]
    expect: { alerts: {} }
  - name: as Falco, without saying so
    inline_events: [${secretRead}]
    expect: { alerts: {} }`,
  );
  assert.equal(failuresOf(results), "From: fired once, should not fire");
  assert.match(results[2]?.notes.join() ?? "", /^it passes with compat: strict, which does as Falco does/);
});

test("loading may be expected to warn, with codes, and an empty list of warnings allows none", (t) => {
  const unused = "- macro: nobody\n  condition: ka.verb = get\n";
  const expecting = (expect: string) => `rules: [warns.yaml]
tests:
  - name: warns
    expect: ${expect}`;
  const files = { "warns.yaml": unused + rules };
  for (const fine of [
    "{ load: ok }",
    "{ load: warning }",
    "{ load: warning, code: LOAD_UNUSED_MACRO }",
    "{ load: warning, warnings: [LOAD_UNUSED_MACRO] }",
  ]) {
    assert.equal(failuresOf(run(t, expecting(fine), files)), "", fine);
  }
  assert.match(failuresOf(run(t, expecting("{ warnings: [] }"), files)), /should not warn/);
  assert.match(
    failuresOf(run(t, expecting("{ warnings: [LOAD_UNUSED_LIST] }"), files)),
    /does not warn of LOAD_UNUSED_LIST; it warns of LOAD_UNUSED_MACRO/,
  );
  const quiet = { "warns.yaml": rules };
  assert.match(failuresOf(run(t, expecting("{ load: warning }"), quiet)), /load without a warning/);
});

test("events may be an array, one document over many lines, or texts, and all of them count", (t) => {
  const event = (id: string) => ({
    kind: "Event",
    auditID: id,
    stage: "ResponseComplete",
    verb: "get",
    objectRef: { resource: "secrets" },
    stageTimestamp: "2026-01-01T00:00:00Z",
  });
  const files = {
    "array.json": JSON.stringify([event("1"), event("2")], undefined, 2),
    "one.json": JSON.stringify(event("3"), undefined, 2),
    "list.json": JSON.stringify({ kind: "EventList", items: [event("4"), event("5")] }),
  };
  const results = run(
    t,
    `rules: [rules.yaml]
tests:
  - name: all forms
    events: [array.json, one.json, list.json]
    inline_events:
      - '${JSON.stringify(event("6"))}'
      - ${JSON.stringify(event("7"))}
    expect: { alerts: { Secret Read: 7 } }`,
    files,
  );
  assert.equal(failuresOf(results), "");
});

test("an inline event that is whole is taken as it is, so that what it lacks is missing", (t) => {
  const whole = (rest: string) => `rules: [rules.yaml]
tests:
  - name: whole
    inline_events: [{ kind: Event, auditID: a, verb: get, objectRef: { resource: secrets }, ${rest} }]
    expect: { alerts: {} }`;
  assert.equal(failuresOf(run(t, whole("stageTimestamp: '2026-01-01T00:00:00Z'"))), "");
  assert.equal(failuresOf(run(t, whole("stage: ResponseComplete"))), "");
  const complete = whole("stage: ResponseComplete, stageTimestamp: '2026-01-01T00:00:00Z'");
  assert.match(failuresOf(run(t, complete)), /Secret Read: fired once, should not fire/);
});

test("whole numbers of an inline event keep all their digits", (t) => {
  const results = run(
    t,
    `inline_rules: |
  - rule: Large
    desc: d
    condition: jevt.value[/requestObject/n] = 18446744073709551615
    output: n
    priority: INFO
    source: k8s_audit
tests:
  - name: large
    inline_events: [{ verb: get, user: {}, requestObject: { n: 18446744073709551615 } }]
    expect: { alerts: { Large: 1 } }`,
  );
  assert.equal(failuresOf(results), "");
});

test("tests that share a detector cannot see the events of each other", (t) => {
  const results = run(
    t,
    `inline_rules: |
  - rule: First
    desc: d
    condition: evt.num = 1
    output: first
    priority: INFO
    source: k8s_audit
tests:
  - name: one
    inline_events: [${secretRead}, ${secretRead}]
    expect: { alerts: { First: 1 } }
  - name: two
    inline_events: [${secretRead}]
    expect: { alerts: { First: 1 } }`,
  );
  assert.equal(failuresOf(results), "");
});
