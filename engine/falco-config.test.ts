import assert from "node:assert/strict";
import { test } from "node:test";
import { type EngineConfig, parseEngineConfig } from "./falco-config.ts";

function read(content: string, variables: Readonly<Record<string, string>> = {}): EngineConfig {
  const parsed = parseEngineConfig("falco.yaml", content, variables);
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.problems.join("\n"));
  return parsed.config;
}

function problems(content: string): readonly string[] {
  const parsed = parseEngineConfig("falco.yaml", content);
  assert.ok(!parsed.ok, "the configuration should be refused");
  return parsed.problems;
}

test("parseEngineConfig() reads what Falco's configuration says of rules and alerts", () => {
  const { load, detector } = read(`
priority: info
rule_matching: all
time_format_iso_8601: true
json_include_output_property: no
json_include_message_property: yes
json_include_output_fields_property: off
json_include_tags_property: "false"
static_fields: { region: eu, shard: 7 }
rules:
  - disable: { rule: "*" }
  - enable: { tag: k8s }
  - enable: { rule: Secret Read, tag: mitre }
append_output:
  - match: { source: k8s_audit, tags: [a, b] }
    extra_output: by %ka.user.name
    extra_fields: [ka.verb, { who: "%ka.user.name" }]
  - match: { rule: Secret Read }
    suggested_output: true
falconry: { compat: strict, envelope: none }
`);
  assert.deepEqual(load, {
    compat: "strict",
    minimumPriority: "Informational",
    switches: [
      { action: "disable", rule: "*" },
      { action: "enable", tag: "k8s" },
      { action: "enable", rule: "Secret Read", tag: "mitre" },
    ],
    appendOutput: [
      {
        match: { source: "k8s_audit", tags: ["a", "b"] },
        extraOutput: "by %ka.user.name",
        extraFields: ["ka.verb", { who: "%ka.user.name" }],
      },
      { match: { rule: "Secret Read" }, suggestedOutput: true },
    ],
    staticFields: { region: "eu", shard: "7" },
  });
  assert.deepEqual(detector, {
    compat: "strict",
    ruleMatching: "all",
    envelope: "none",
    format: {
      timeFormatIso8601: true,
      jsonIncludeOutput: false,
      jsonIncludeMessage: true,
      jsonIncludeOutputFields: false,
      jsonIncludeTags: false,
    },
  });
});

test("parseEngineConfig() leaves out what is not given, so that defaults stay", () => {
  const nothing = { load: {}, detector: {} };
  assert.deepEqual(read(""), nothing);
  assert.deepEqual(read("# only a comment\n"), nothing);
  assert.deepEqual(read("priority:\nrules:\nfalconry:\n"), nothing);
  assert.deepEqual(read("rules: []\n").load, { switches: [] });
});

test("parseEngineConfig() names the keys that it does not follow, with their lines", () => {
  const parsed = parseEngineConfig(
    "falco.yaml",
    "rules_files: [/etc/falco]\nstdout_output:\n  enabled: true\n",
  );
  assert.deepEqual(parsed.ok && parsed.ignored, [
    { key: "rules_files", line: 1 },
    { key: "stdout_output", line: 2 },
  ]);
});

test("parseEngineConfig() puts variables in place, and a doubled dollar keeps the text", () => {
  const { load } = read("static_fields:\n  a: ${NODE}\n  b: x-${NODE}-${NONE}\n  c: $${NODE}\n", {
    NODE: "n1",
  });
  assert.deepEqual(load.staticFields, { a: "n1", b: "x-n1-", c: "${NODE}" });
});

test("parseEngineConfig() tells every problem at once, with its place and what to give", () => {
  assert.deepEqual(
    problems(`priority: urgent
rule_matching: most
time_format_iso_8601: perhaps
static_fields: { a-b: x }
rules:
  - disabled: { rule: x }
  - enable: x
append_output: { extra_output: x }
falconry: { compat: loose, envelop: none }
`),
    [
      'falco.yaml:1:11: priority: "urgent" is none; give one of Emergency, Alert, Critical, Error, Warning, Notice, Informational, Debug',
      'falco.yaml:2:16: rule_matching: give first or all, not "most"',
      'falco.yaml:3:23: time_format_iso_8601: give true or false, not "perhaps"',
      'falco.yaml:4:18: static_fields: "a-b" is no name that rules can read; use letters, digits and _',
      'falco.yaml:6:5: rules[0]: unknown key "disabled"; use enable, disable',
      'falco.yaml:7:13: rules[1].enable: give a map, such as "key: value"',
      'falco.yaml:8:16: append_output: give a list, such as "- item"',
      'falco.yaml:9:21: falconry.compat: give fixed or strict, not "loose"',
      'falco.yaml:9:28: falconry: unknown key "envelop"; use compat, envelope',
    ],
  );
});

test("parseEngineConfig() refuses what is no configuration", () => {
  assert.match(problems("- a\n").join(), /^falco\.yaml:1:1: the configuration: give a map/);
  assert.match(problems("a: [\n").join(), /^falco\.yaml:2: /);
  assert.match(problems("a: 1\n---\nb: 2\n").join(), /falco\.yaml:3:1: there is a second document/);
});
