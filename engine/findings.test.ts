import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Finding } from "./findings.ts";
import { falcoResults } from "./findings.ts";
import { loadRules } from "./load.ts";
import { renderFindings } from "./render.ts";

const rule = (name: string, condition: string, more = ""): string =>
  `- rule: ${name}\n  desc: d\n  condition: ${condition}\n  output: o\n  priority: INFO\n  source: k8s_audit\n${more}`;

function load(...contents: readonly string[]) {
  return loadRules(contents.map((content, i) => ({ name: `${i}.yaml`, content })));
}

/** A place as `type 'name' file:line:column+offset`. */
function way({ context }: Finding): readonly string[] {
  return context.locations.map(({ item_type, item_name, position: { name, line, column, offset } }) => {
    const named = item_name === "" ? "" : ` '${item_name}'`;
    return `${item_type}${named} ${name}:${line}:${column}+${offset}`;
  });
}

const top = "rules content 0.yaml:0:0+0";
/** The content, its one finding, and the way down to it below the file. */
const places: readonly (readonly [string, string, string, readonly string[]])[] = [
  ["a document that is no list", "a: b\n", "LOAD_ERR_YAML_VALIDATE", []],
  ["an item that is no mapping", "- a\n", "LOAD_ERR_YAML_VALIDATE", ["rules content item 0.yaml:0:2+2"]],
  ["an unknown item", "- a: b\n", "LOAD_UNKNOWN_ITEM", ["rules content item 0.yaml:0:2+2"]],
  [
    "an unknown key of a rule, reported at the rule",
    rule("r", "ka.verb = a", "  colour: red\n"),
    "LOAD_UNKNOWN_KEY",
    ["rule 'r' 0.yaml:0:2+2"],
  ],
  [
    "an unknown key beside an engine version",
    "- required_engine_version: 0.1.0\n  x: y\n",
    "LOAD_UNKNOWN_KEY",
    ["required_engine_version 0.yaml:0:2+2"],
  ],
  [
    "an unknown key beside plugin versions",
    "- required_plugin_versions:\n    - {name: json, version: 0.1.0}\n  x: y\n",
    "LOAD_UNKNOWN_KEY",
    ["required plugin versions 0.yaml:0:2+2"],
  ],
  [
    "a version that is none of an alternative, reported at the entry",
    "- required_plugin_versions:\n  - name: json\n    version: 0.1.0\n    alternatives: [{name: k8saudit, version: x}]\n",
    "LOAD_ERR_VALIDATE",
    ["required plugin versions 0.yaml:1:2+30", "required plugin versions entry 'json' 0.yaml:1:4+32"],
  ],
  [
    "an operation that is none",
    "- list: l\n  items: [a]\n  override:\n    items: merge\n",
    "LOAD_ERR_YAML_VALIDATE",
    ["list 'l' 0.yaml:0:2+2", "overrides 0.yaml:0:2+2", "value for 'items' 0.yaml:3:11+46"],
  ],
  [
    "a key that can not be overridden",
    "- list: l\n  items: [a]\n  override:\n    list: replace\n",
    "LOAD_ERR_YAML_VALIDATE",
    ["list 'l' 0.yaml:0:2+2", "overrides 0.yaml:0:2+2", "overrides 'list' 0.yaml:3:4+39"],
  ],
  [
    "a value of an exception inside two lists",
    rule("r", "ka.verb = a", '  exceptions:\n  - name: e\n    fields: [ka.verb]\n    values: [[""]]\n'),
    "LOAD_ERR_YAML_VALIDATE",
    [
      "rule 'r' 0.yaml:0:2+2",
      "exception 'e' 0.yaml:7:4+112",
      "exception values 0.yaml:9:12+154",
      "exception value 0.yaml:9:13+155",
      "value for 0.yaml:9:13+155",
      "exception 0.yaml:9:14+156",
      "value for 0.yaml:9:14+156",
    ],
  ],
  [
    "an output, without a place inside it",
    rule("r", "ka.verb = a").replace("output: o", "output: 'a %ka.nope'"),
    "LOAD_ERR_COMPILE_OUTPUT",
    ["rule 'r' 0.yaml:0:2+2", "rule output 0.yaml:3:10+55"],
  ],
  [
    "bad grammar, with the start of the condition in place of the file",
    rule("r", "ka.verb = create and ka.verb ="),
    "LOAD_ERR_COMPILE_CONDITION",
    [
      "rule 'r' 0.yaml:0:2+2",
      "rule condition 0.yaml:2:13+33",
      'condition expression "ka.verb = create ...":3:44+63',
    ],
  ],
  [
    "an undefined macro, counted from the rule and not from its condition",
    rule("r", "ka.verb = a and nope"),
    "LOAD_ERR_VALIDATE",
    ["rule 'r' 0.yaml:0:2+2", 'condition expression "ka.verb = a and nope":1:19+18'],
  ],
  [
    "a field in a transformer, which is where reading the check got to",
    rule("r", "tolower(ka.user.groups) = a"),
    "LOAD_ERR_COMPILE_CONDITION",
    [
      "rule 'r' 0.yaml:0:2+2",
      "rule condition 0.yaml:2:13+33",
      'condition expression "tolower(ka.user.g...":3:22+41',
    ],
  ],
  [
    "a value that is probably a field",
    rule("r", "ka.verb = ka.stage"),
    "LOAD_COMPILE_CONDITION",
    [
      "rule 'r' 0.yaml:0:2+2",
      "rule condition 0.yaml:2:13+33",
      'condition expression "ka.verb = ka.stage":3:24+43',
    ],
  ],
  [
    "a second line of a condition, in columns of its own",
    rule("r", "|\n    ka.verb = a\n    and ka.nope = b"),
    "LOAD_ERR_COMPILE_CONDITION",
    [
      "rule 'r' 0.yaml:0:2+2",
      "rule condition 0.yaml:2:13+33",
      'condition expression "ka.verb = a and k...":4:18+49',
    ],
  ],
  [
    "text beyond ASCII before the place, counted in bytes",
    rule("ä", "ka.verb = 'ö' and ka.nope = 1"),
    "LOAD_ERR_COMPILE_CONDITION",
    [
      "rule 'ä' 0.yaml:0:2+2",
      "rule condition 0.yaml:2:13+34",
      "condition expression \"ka.verb = 'ö' and...\":3:33+53",
    ],
  ],
];
describe("the way down to a finding is Falco's", () => {
  for (const [what, content, code, want] of places) {
    test(what, () => {
      const [result] = load(content).results;
      const findings = [...(result?.errors ?? []), ...(result?.warnings ?? [])];
      assert.deepEqual(
        findings.map((one) => one.code),
        [code],
      );
      assert.deepEqual(findings.flatMap(way), [top, ...want]);
    });
  }
});

test("a problem in a macro is reported at the rule that uses it, while people are shown the macro", () => {
  const files = [
    { name: "m.yaml", content: `- macro: m\n  condition: ka.nope exists\n${rule("r", "ka.verb = a and m")}` },
  ];
  const report = loadRules(files);
  const [error] = report.results[0]?.errors ?? [];
  assert.deepEqual(error === undefined ? [] : way(error).slice(1), [
    "rule 'r' m.yaml:2:2+41",
    "rule condition m.yaml:4:13+72",
    'condition expression "ka.verb = a and m":5:14+72',
  ]);
  assert.equal(
    renderFindings(report, files),
    "m.yaml: Invalid\n  m.yaml:2:14: error LOAD_ERR_COMPILE_CONDITION in macro 'm': filter_check called with nonexistent field ka.nope\n    ka.nope exists\n    ^",
  );
});

test("a problem in what an override appends is reported at the rule, while people are shown the override", () => {
  const files = [
    { name: "base.yaml", content: rule("r", "ka.verb = a") },
    {
      name: "more.yaml",
      content: "- rule: r\n  condition: and ka.nope = b\n  override: {condition: append}\n",
    },
  ];
  const report = loadRules(files);
  const [error] = report.results[1]?.errors ?? [];
  assert.deepEqual(error === undefined ? [] : way(error).slice(1), [
    "rule 'r' base.yaml:0:2+2",
    "rule condition base.yaml:2:13+33",
    'condition expression "ka.verb = a and k...":3:30+49',
  ]);
  assert.match(renderFindings(report, files), /\n {2}more\.yaml:2:14: error LOAD_ERR_COMPILE_CONDITION/);
});

/** A finding's content, and the snippet Falco prints for it. */
const snippets: readonly (readonly [string, string, string])[] = [
  ["the line of an item", "# c\n- a: b\n", "- a: b\n  ^\n"],
  ["the first line for the file as a whole", "a: b\nc: d\n", "a: b\n^\n"],
  [
    "the condition, with the caret at its end, for the place is counted from the start of the file",
    rule("r", "ka.verb = a and ka.nope = b"),
    "ka.verb = a and ka.nope = b\n                          ^\n",
  ],
  [
    "80 characters to either side",
    `- ${"x".repeat(30)}: [${"a, ".repeat(60)}b]\n`,
    `- ${"x".repeat(30)}: [${"a, ".repeat(15)}...\n  ^\n`,
  ],
];
describe("the snippet is Falco's", () => {
  for (const [what, content, want] of snippets) {
    test(what, () => {
      const [result] = load(content).results;
      const [finding] = [...(result?.errors ?? []), ...(result?.warnings ?? [])];
      assert.equal(finding?.context.snippet, want);
    });
  }
});

test("falcoResults() has the members of falco -V and nothing that is only for people", () => {
  const [result] = falcoResults(load(rule("r", "ka.nope = a", "  capture: true\n")).results);
  assert.deepEqual(Object.keys(result ?? {}), [
    "name",
    "successful",
    "schema_valid",
    "schema_warnings",
    "errors",
    "warnings",
  ]);
  const [error] = (result as { errors: readonly object[] }).errors;
  assert.deepEqual(Object.keys(error ?? {}), ["code", "codedesc", "message", "context"]);
});

test("a field that means nothing any more is named in a member of its own, in conditions and outputs", () => {
  const content =
    "- rule: r\n  desc: d\n  condition: evt.type = execve and evt.dir = <\n  output: '%evt.dir'\n  priority: INFO\n";
  const warnings = load(content).results[0]?.warnings ?? [];
  assert.deepEqual(
    warnings.map((one) => [one.code, one.deprecated_field, one.context.locations.at(-1)?.item_type]),
    [
      ["LOAD_DEPRECATED_ITEM", "evt.dir", "rule output"],
      ["LOAD_DEPRECATED_ITEM", "evt.dir", "rule condition"],
    ],
  );
});
