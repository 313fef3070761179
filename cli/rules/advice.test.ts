import assert from "node:assert/strict";
import { test } from "node:test";
import { loadRules, type LoadOptions, renderFindings } from "#engine";
import { adviceFor } from "./advice.ts";

const rule = (condition: string, more = "source: k8s_audit"): string =>
  `- rule: A\n  desc: d\n  condition: ${condition}\n  output: o\n  priority: INFO\n  ${more}\n`;

/** What is advised about the first finding of a rules file. */
function advice(content: string, options: LoadOptions = {}): string | undefined {
  const files = [{ name: "rules.yaml", content }];
  const report = loadRules(files, options);
  const [result] = report.results;
  const [finding] = [...(result?.errors ?? []), ...(result?.warnings ?? [])];
  assert.ok(finding !== undefined, "the rules should not be fine");
  return adviceFor(finding, renderFindings(report, files), files);
}

const cases: readonly (readonly [string, string, RegExp])[] = [
  [
    "a misspelt field",
    rule("ka.usr.name = x"),
    /^is "ka\.user\.name".* meant\? fleetctl rules fields lists them all$/,
  ],
  [
    "a misspelt field of an output",
    rule("ka.verb = get").replace("output: o", 'output: "%ka.vrb"'),
    /is "ka\.verb"/,
  ],
  [
    "a rule whose source was left out",
    rule("ka.verb = get", "tags: [x]"),
    /ka\.verb is a field of source k8s_audit: add "source: k8s_audit" to the rule; a rule without source is for syscall/,
  ],
  ["a field of system calls", rule("proc.name = cat"), /add "source: syscall" to the rule$/],
  ["a field without its argument", rule("ka.uri.param exists"), /give it one in brackets/],
  [
    "a misspelt macro",
    `- macro: answered\n  condition: ka.verb = get\n${rule("answred")}`,
    /^is "answered" meant\? "- macro: answred" defines it/,
  ],
  ["a list in the place of a macro", `- list: verbs\n  items: [get, list]\n${rule("(verbs)")}`, /./],
  [
    "words of the language in capitals",
    rule("ka.verb = get AND ka.verb = get"),
    /^write and: words of the language are/,
  ],
  ["words of another language", rule("ka.verb = get && ka.verb = get"), /^write and, or$/],
  ["not in the middle", rule("ka.verb not in (get)"), /^put not before the whole check/],
  [
    "one value of a list field",
    rule("ka.user.groups = a"),
    /^a list field takes in, intersects, pmatch and exists/,
  ],
  [
    "an unknown priority",
    rule("ka.verb = get").replace("INFO", "LOUD"),
    /^one of Emergency, Alert, Critical/,
  ],
  [
    "a missing key",
    rule("ka.verb = get").replace("  desc: d\n", ""),
    /^add "desc:"; a rule needs condition, output/,
  ],
  ["a file that is no list", "rule: A\n", /^begin each item with "- rule:"/],
  ["a test file", "rules: [a]\ntests: []\n", /^it is a test file: fleetctl rules test rules\.yaml$/],
  [
    "an override alone",
    "- rule: A\n  condition: and ka.verb = get\n  override: { condition: append }\n",
    /BASE\.yaml OVERRIDES\.yaml/,
  ],
  ["an unknown key", rule("ka.verb = get", "source: k8s_audit\n  prority: x"), /^is "priority" meant\?$/],
  ["an unknown source", rule("ka.verb = get", "source: k8s_adit"), /^is "k8s_audit" meant\?$/],
  ["bad indentation", "- rule: A\n  desc: d\n   condition: x\n", /^indent with blanks/],
  [
    "an unused macro",
    `- macro: m\n  condition: ka.verb = get\n${rule("ka.verb = get")}`,
    /^use it in a condition/,
  ],
];
for (const [what, content, words] of cases) {
  test(`adviceFor() says what to do about ${what}`, () => assert.match(advice(content) ?? "nothing", words));
}

test("adviceFor() says nothing where the finding's own words say what to do", () => {
  assert.equal(advice("- list: a\n  items: &x [b]\n- list: c\n  items: *x\n"), undefined);
});

test("adviceFor() looks at the configuration for a field that no rule names", () => {
  const words = advice(rule("ka.verb = get"), { appendOutput: [{ extraOutput: "%ka.nope" }] });
  assert.match(words ?? "", /^ka\.nope is not in the rules: look at append_output/);
});
