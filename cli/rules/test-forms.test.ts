import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { runRuleTests } from "./test-runner.ts";

/** Ways in which people who know only the outline of the format write their test files. */

const base = `- list: sensitive
  items: [secrets, configmaps]
- macro: done
  condition: (ka.stage = ResponseComplete)
- rule: Secret Read
  desc: d
  condition: done and ka.verb = get and ka.target.resource in (sensitive)
  output: read (user=%ka.user.name ns=%ka.target.namespace)
  priority: WARNING
  source: k8s_audit
- rule: Any Get
  desc: d
  condition: done and ka.verb = get
  output: got (user=%ka.user.name)
  priority: NOTICE
  source: k8s_audit
`;
const quiet = `- rule: Secret Read
  condition: and not ka.user.name = bot
  override: { condition: append }
`;
const whole = (user: string) => ({
  kind: "Event",
  apiVersion: "audit.k8s.io/v1",
  level: "Metadata",
  auditID: `id-${user}`,
  stage: "ResponseComplete",
  verb: "get",
  user: { username: user },
  objectRef: { resource: "secrets", namespace: "n" },
  stageTimestamp: "2026-01-01T00:00:00.000000Z",
});
const line = (user: string): string => JSON.stringify(whole(user));
const two = [whole("alice"), whole("bob")];
const call = `type=SYSCALL msg=audit(1700000000.100:7): arch=c000003e syscall=59 success=yes exit=0 ppid=1 pid=2 auid=0 uid=0 gid=0 euid=0 comm="cat" exe="/bin/cat"
type=EXECVE msg=audit(1700000000.100:7): argc=2 a0="cat" a1="/etc/shadow"`;

const files: Readonly<Record<string, string | Buffer>> = {
  "rules/10-base.yaml": base,
  "rules/20-quiet.yaml": quiet,
  "base.yaml": base,
  "events/lines.jsonl": `${line("alice")}\n${line("bob")}\n`,
  "events/crlf.jsonl": `${line("alice")}\r\n${line("bob")}\r\n`,
  "events/array.json": JSON.stringify(two, undefined, 2),
  "events/list.json": JSON.stringify({ kind: "EventList", items: two }, undefined, 1),
  "events/packed.jsonl.gz": gzipSync(`${line("alice")}\n${line("bob")}\n`),
  "events/list.yaml": `# two\n- ${line("alice")}\n- verb: get\n  user: { username: bob }\n  objectRef: { resource: secrets }\n`,
  "events/documents.yaml": `kind: Event\nauditID: "1"\nstage: ResponseComplete\nverb: get\nstageTimestamp: 2026-01-01T00:00:00Z\nobjectRef: { resource: secrets }\n---\nverb: get\nobjectRef: { resource: secrets }\n`,
  "events/short.jsonl": `{"verb":"get","objectRef":{"resource":"secrets"}}\n{"verb":"get","objectRef":{"resource":"secrets"}}\n`,
  "events/empty.jsonl": "",
  "events/call.log": `${call}\n`,
};

let folder = "";
before(() => {
  folder = mkdtempSync(join(tmpdir(), "rule-forms-"));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
});
after(() => rmSync(folder, { recursive: true }));

/** All failures of a test file, and its notes. */
function outcome(text: string): { readonly failures: string; readonly notes: string } {
  const path = join(folder, "case.yaml");
  writeFileSync(path, text);
  const results = runRuleTests([path]);
  assert.ok(results.length > 0);
  const all = (of: "failures" | "notes"): string => results.flatMap((result) => result[of]).join("\n");
  return { failures: all("failures"), notes: all("notes") };
}

const read = "{ verb: get, user: { username: u }, objectRef: { resource: secrets } }";
const one = (rest: string): string => `rules: [base.yaml]\ntests:\n  - name: one\n    ${rest}\n`;
const shadow = `inline_rules: |
  - rule: Shadow
    desc: d
    condition: evt.type = execve and proc.args contains shadow
    output: o %proc.cmdline
    priority: INFO
`;

const working: Readonly<Record<string, string>> = {
  "events as JSON lines": one("events: [events/lines.jsonl]\n    expect: { alerts: { Secret Read: 2 } }"),
  "events with CR LF": one("events: [events/crlf.jsonl]\n    expect: { alerts: { Secret Read: 2 } }"),
  "events as an array": one("events: [events/array.json]\n    expect: { alerts: { Secret Read: 2 } }"),
  "events as an EventList": one("events: [events/list.json]\n    expect: { alerts: { Secret Read: 2 } }"),
  "events packed": one("events: [events/packed.jsonl.gz]\n    expect: { alerts: { Secret Read: 2 } }"),
  "events as a YAML list": one("events: [events/list.yaml]\n    expect: { alerts: { Secret Read: 2 } }"),
  "events as YAML documents": one(
    "events: [events/documents.yaml]\n    expect: { alerts: { Secret Read: 2 } }",
  ),
  "events abbreviated in a file": one(
    "events: [events/short.jsonl]\n    expect: { alerts: { Secret Read: 2 } }",
  ),
  "an empty event file": one("events: [events/empty.jsonl]\n    expect: { alerts: {} }"),
  "one path without a list": one("events: events/lines.jsonl\n    expect: { alerts: { Secret Read: 2 } }"),
  "a pattern of event files": one("events: ['events/*.json']\n    expect: { alerts: { Secret Read: 4 } }"),
  "both kinds of events": one(
    `events: [events/lines.jsonl]\n    inline_events: [${read}]\n    expect: { alerts: { Secret Read: 3 } }`,
  ),
  "a folder of rules": `rules: [rules/]\ntests: [{ inline_events: [{ verb: get, user: { username: bot }, objectRef: { resource: secrets } }], expect: { alerts: { Any Get: 1 } } }]`,
  "a pattern of rules": `rules: ["rules/*.yaml"]\ntests: [{ inline_events: [{ verb: get, user: { username: bot }, objectRef: { resource: secrets } }], expect: { alerts: { Any Get: 1 } } }]`,
  "rules files with an override": `rules: [rules/10-base.yaml, rules/20-quiet.yaml]\ntests: [{ inline_events: [${read}], expect: { alerts: { Secret Read: 1 } } }]`,
  "rules and inline_rules together": `rules: [base.yaml]
inline_rules: |
  - rule: Secret Read
    enabled: false
    override: { enabled: replace }
tests: [{ inline_events: [${read}], expect: { alerts: { Any Get: 1 } } }]`,
  "inline_rules of several documents": `inline_rules: |
  - macro: got
    condition: (ka.verb = get)
  ---
  - { rule: A, desc: d, condition: got, output: o, priority: INFO, source: k8s_audit }
tests: [{ inline_events: [${read}], expect: { alerts: { A: 1 } } }]`,
  "inline_rules as a list": `inline_rules:
  - { rule: A, desc: d, condition: ka.verb = get, output: o, priority: INFO, source: k8s_audit }
tests: [{ inline_events: [${read}], expect: { alerts: { A: 1 } } }]`,
  "inline events as JSON texts": one(
    `inline_events:\n      - '${line("a")}'\n      - '{"verb":"get","objectRef":{"resource":"secrets"}}'\n    expect: { alerts: { Secret Read: 2 } }`,
  ),
  "inline events as a block of JSON lines": one(
    `inline_events: |\n      ${line("a")}\n      ${line("b")}\n    expect: { alerts: { Secret Read: 2 } }`,
  ),
  "inline events as a block of YAML": one(
    `inline_events: |\n      - ${read}\n      - verb: list\n    expect: { alerts: { Secret Read: 1 } }`,
  ),
  "one inline event without a list": one(
    `inline_events: ${read}\n    expect: { alerts: { Secret Read: 1 } }`,
  ),
  "an inline EventList": one(
    `inline_events: [{ kind: EventList, items: [${line("a")}, ${read}] }]\n    expect: { alerts: { Secret Read: 2 } }`,
  ),
  "a whole inline event without auditID and stageTimestamp": one(
    `inline_events: [{ kind: Event, apiVersion: audit.k8s.io/v1, stage: ResponseComplete, verb: get, objectRef: { resource: secrets } }]\n    expect: { alerts: { Secret Read: 1 } }`,
  ),
  "a whole inline event with an unquoted time": one(
    `inline_events: [{ kind: Event, auditID: a, stage: ResponseComplete, stageTimestamp: 2026-01-01T00:00:00Z, verb: get, objectRef: { resource: secrets } }]\n    expect: { alerts: { Secret Read: 1 } }`,
  ),
  "anchors and merges": one(
    `inline_events:\n      - &e ${read}\n      - { <<: *e, user: { username: v } }\n      - *e\n    expect: { alerts: { Secret Read: 3 } }`,
  ),
  "alerts that name nothing": one("inline_events: [{ verb: list }]\n    expect: { alerts: }"),
  "alerts as names": one(
    `inline_events: [${read}, ${read}]\n    expect: { alerts: [Secret Read, Secret Read] }`,
  ),
  "alerts as a list of maps": one(`inline_events: [${read}]\n    expect: { alerts: [Secret Read: 1] }`),
  "alerts as rule and count": one(
    `inline_events: [${read}]\n    expect: { alerts: [{ rule: Secret Read, count: 1 }] }`,
  ),
  "counts as texts": one(
    `inline_events: [${read}]\n    expect: { alerts: { Secret Read: "1", Any Get: 0 } }`,
  ),
  "output_contains as one text": one(
    `inline_events: [${read}]\n    expect: { alerts: { Secret Read: 1 }, output_contains: user=u }`,
  ),
  "output_contains as a list": one(
    `inline_events: [${read}]\n    expect: { alerts: { Secret Read: 1 }, output_contains: [user=u, "ns=<NA>", Warning] }`,
  ),
  "a minimum priority in any case": one(
    `minimum_priority: wArNiNg\n    inline_events: [{ verb: get }]\n    expect: { alerts: {} }`,
  ),
  "rule_matching in any case": one(
    `rule_matching: ALL\n    inline_events: [${read}]\n    expect: { alerts: { Secret Read: 1, Any Get: 1 } }`,
  ),
  "the file's matching and another of one test": `rules: [base.yaml]
rule_matching: all
tests:
  - { inline_events: [${read}], expect: { alerts: { Secret Read: 1, Any Get: 1 } } }
  - { rule_matching: first, inline_events: [${read}], expect: { alerts: { Secret Read: 1 } } }`,
  "two tests of one name": `rules: [base.yaml]\ntests:\n  - { name: a, expect: { load: ok } }\n  - { name: a, expect: { alerts: {} } }`,
  "loading alone": one("expect: { load: ok, warnings: [] }"),
  "an error and its code, without events": `tests: [{ inline_rules: "- rule: A", expect: { load: error, code: LOAD_ERR_YAML_VALIDATE, alerts: {} } }]`,
  "a code of an error alone": `tests: [{ inline_rules: "- rule: A", expect: { code: LOAD_ERR_YAML_VALIDATE } }]`,
  "a file that is not there, expected": `tests: [{ rules: [none.yaml], expect: { load: error, code: LOAD_ERR_FILE_READ } }]`,
  "a warning, its code and alerts": `rules: [base.yaml]
inline_rules: |
  - macro: unused
    condition: ka.verb = get
tests: [{ inline_events: [${read}], expect: { load: warning, warnings: [LOAD_UNUSED_MACRO], alerts: { Secret Read: 1 } } }]`,
  "lines of the Linux audit log in a block": `${shadow}tests:
  - inline_events: |
      ${call.replace("\n", "\n      ")}
    expect: { alerts: { Shadow: 1 }, output_contains: /etc/shadow }`,
  "lines of the Linux audit log as texts": `${shadow}tests:
  - inline_events:
      - '${call.split("\n")[0]}'
      - '${call.split("\n")[1]}'
    expect: { alerts: { Shadow: 1 } }`,
  "lines of the Linux audit log in a file": `${shadow}tests: [{ events: [events/call.log], expect: { alerts: { Shadow: 1 } } }]`,
  "a file of JSON": JSON.stringify({
    rules: ["base.yaml"],
    tests: [{ name: "json", events: ["events/lines.jsonl"], expect: { alerts: { "Secret Read": 2 } } }],
  }),
};

describe("a test file may be written in any of these ways", () => {
  for (const [name, text] of Object.entries(working)) {
    test(name, () => assert.equal(outcome(text).failures, ""));
  }
});

const telling: readonly (readonly [string, string, RegExp])[] = [
  [
    "alerts beside expect instead of in it",
    one(`inline_events: [${read}]\n    alerts: { Secret Read: 1 }`),
    /^line 5: alerts: unknown key; write expect: \{ alerts: \.\.\. \} instead/,
  ],
  [
    "a misspelt key, which would leave a test without events",
    one(`inline_event: [${read}]\n    expect: { alerts: {} }`),
    /^line 4: inline_event: unknown key; write inline_events instead/,
  ],
  [
    "an event among the paths",
    one(`events: [${read}]\n    expect: { alerts: {} }`),
    /^line 4: events\[0\]: give the path of an event file \(events themselves go under inline_events\), not a map/,
  ],
  [
    "a misspelt rule",
    one(`inline_events: [${read}]\n    expect: { alerts: { Secret Reed: 1 } }`),
    /Secret Reed: fired 0 times, should fire once; no rule has this name, is "Secret Read" meant\?/,
  ],
  [
    "a rule below the minimum priority",
    one(
      `minimum_priority: warning\n    inline_events: [{ verb: get }]\n    expect: { alerts: { Any Get: 1 } }`,
    ),
    /should fire once; it is disabled, or less urgent than the minimum priority/,
  ],
  [
    "half an alert",
    one("expect: { alerts: { Secret Read: 1.5 } }"),
    /line 4: expect\.alerts\["Secret Read"\]: give how often the rule fires as a whole number.*not "1\.5"/,
  ],
  ["codes for code", one("expect: { codes: [X] }"), /expect\.codes: unknown key; write code/],
  [
    "a path that leads nowhere",
    one("events: [none.jsonl]\n    expect: {}"),
    /^none\.jsonl is not there; paths are relative to the test file, so this is \//,
  ],
  ["a pattern that matches nothing", one("events: ['none*']\n    expect: {}"), /^none\* is not there/],
  ["a folder of events", one("events: [events]\n    expect: {}"), /events is a folder; name its files/],
  [
    "an unknown priority",
    one("minimum_priority: urgent\n    expect: {}"),
    /^line 4: minimum_priority: give one of Falco's, such as WARNING, not "urgent"/,
  ],
  [
    "alerts of rules that must not load",
    one("expect: { load: error, alerts: { Secret Read: 1 } }"),
    /rules that do not load raise no alerts/,
  ],
  [
    "a test whose rules only make sense with those of the file",
    `rules: [base.yaml]\ntests:\n  - inline_rules: |\n${quiet.replace(/^/gm, "      ").trimEnd()}\n    expect: { load: ok }\n`,
    /no rule by that name already exists[\s\S]*the test's own rules take the place of the file's; to have both, name both/,
  ],
  [
    "an event that only lacks its auditID, as Falco sees it",
    one(
      `inline_events: [{ kind: Event, stage: ResponseComplete, stageTimestamp: "2026-01-01T00:00:00Z", verb: get, objectRef: { resource: secrets } }]\n    expect: { alerts: { Secret Read: 1 } }`,
    ),
    /should fire once\nan event lacks auditID, without which no ka field can be read; write it, or leave/,
  ],
];

describe("a test file that cannot work says where and what to write instead", () => {
  for (const [name, text, words] of telling) {
    test(name, () => assert.match(outcome(text).failures, words));
  }
});

test("a test without expect asks that nothing fires, and is noted", () => {
  const silent = outcome(one("inline_events: [{ verb: list }]"));
  assert.equal(silent.failures, "");
  assert.match(silent.notes, /no expect, so the rules must load and nothing may fire/);
  assert.match(outcome(one(`inline_events: [${read}]`)).failures, /Secret Read: fired once, should not fire/);
});

test("a test that speaks of loading alone passes whatever fires, which is noted", () => {
  const { failures, notes } = outcome(one(`inline_events: [${read}]\n    expect: { load: ok }`));
  assert.equal(failures, "");
  assert.match(notes, /rules fired, but expect says nothing of alerts; write alerts: \{ Secret Read: 1 \}/);
});

test("an event that lacks one thing that Falco asks for is dropped as Falco drops it", () => {
  const lacking = (key: string): string => {
    const { [key as "kind"]: _, ...event } = whole("a");
    return one(`inline_events: ['${JSON.stringify(event)}']\n    expect: { alerts: {} }`);
  };
  for (const key of ["kind", "auditID", "stageTimestamp"]) {
    assert.equal(outcome(lacking(key)).failures, "", key);
  }
});
