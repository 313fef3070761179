import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { loadRules, type LoadOptions, type LoadReport } from "./load.ts";

function load(contents: readonly string[], options?: LoadOptions): LoadReport {
  return loadRules(
    contents.map((content, i) => ({ name: `${i}.yaml`, content })),
    options,
  );
}

/** One rule that is right but for what is given. */
function rule(parts: Readonly<Record<string, unknown>> = {}): string {
  const whole = {
    rule: "r",
    desc: "d",
    condition: "ka.verb=create",
    output: "o",
    priority: "INFO",
    source: "k8s_audit",
  };
  return `- ${JSON.stringify({ ...whole, ...parts })}\n`;
}

const change = (parts: Readonly<Record<string, unknown>>): string =>
  `- ${JSON.stringify({ rule: "r", ...parts })}\n`;

function problems(report: LoadReport): readonly string[] {
  return report.results.flatMap(({ errors }) => errors.map(({ code, message }) => `${code}: ${message}`));
}

function warnings(report: LoadReport): readonly string[] {
  return report.results.flatMap(({ warnings }) => warnings.map(({ code }) => code));
}

const refused: readonly [string, readonly string[], string][] = [
  ["a map as content", ["a: b"], "LOAD_ERR_YAML_VALIDATE: Rules content is not yaml array of objects"],
  ["a scalar as content", ["hello"], "LOAD_ERR_YAML_VALIDATE: Rules content is not yaml"],
  [
    "a list item that is no map",
    ["- a"],
    "LOAD_ERR_YAML_VALIDATE: Unexpected element type. Each element should be a yaml associative array.",
  ],
  [
    "a missing key",
    ["- rule: r\n  desc: d\n"],
    "LOAD_ERR_YAML_VALIDATE: Item has no mapping for key 'condition'",
  ],
  ["an empty key", [rule({ output: null })], "LOAD_ERR_YAML_VALIDATE: Mapping for key 'output' is empty"],
  ["an empty text", [rule({ desc: "" })], "LOAD_ERR_YAML_VALIDATE: Value must be non-empty"],
  [
    "a flag that is none",
    [rule({ enabled: "maybe" })],
    "LOAD_ERR_YAML_VALIDATE: Can't decode YAML scalar value",
  ],
  [
    "an engine version that is none",
    ["- required_engine_version: x"],
    "LOAD_ERR_YAML_VALIDATE: Unable to parse engine version 'x' as a semver string. Expected \"x.y.z\" semver format.",
  ],
  [
    "appending to no list",
    ["- {list: l, items: [a], append: true}"],
    "LOAD_ERR_VALIDATE: List uses 'append' or 'override.items: append' but no list by that name already exists",
  ],
  [
    "appending to no macro",
    ["- {macro: m, condition: a.b exists, override: {condition: append}}"],
    "LOAD_ERR_VALIDATE: Macro uses 'append' or 'override.condition: append' but no macro by that name already exists",
  ],
  [
    "appending to no rule",
    [change({ condition: "or a", override: { condition: "append" } })],
    "LOAD_ERR_VALIDATE: Rule uses 'append' or 'override.<key>: append' but no rule by that name already exists",
  ],
  [
    "replacing in no rule",
    [change({ enabled: true, override: { enabled: "replace" } })],
    "LOAD_ERR_VALIDATE: An 'override.<key>: replace' to a rule was requested but no rule by that name already exists",
  ],
  [
    "enabling no rule",
    [change({ enabled: true })],
    "LOAD_ERR_VALIDATE: Rule has 'enabled' key but no rule by that name already exists",
  ],
  [
    "appending a priority",
    [rule() + change({ priority: "ERROR", override: { priority: "append" } })],
    "LOAD_ERR_YAML_VALIDATE: Key 'priority' cannot be appended to, use 'replace' instead",
  ],
  [
    "replacing an unknown key",
    [rule() + change({ override: { source: "replace" } })],
    "LOAD_ERR_YAML_VALIDATE: Key 'source' cannot be replaced",
  ],
  [
    "an unknown operation",
    [rule() + change({ override: { desc: "merge" } })],
    "LOAD_ERR_YAML_VALIDATE: Invalid override operation for key 'desc': 'merge'. Allowed values are: append replace ",
  ],
  [
    "an override without its key",
    [rule() + change({ override: { desc: "append" } })],
    "LOAD_ERR_YAML_VALIDATE: An append override for 'desc' was specified but 'desc' is not defined",
  ],
  [
    "a key without its override",
    [rule() + change({ desc: "x", priority: "ERROR", override: { desc: "append" } })],
    "LOAD_ERR_YAML_VALIDATE: Unexpected key 'priority': no corresponding entry under 'override' is defined.",
  ],
  [
    "another source in an append",
    [rule() + change({ source: "zzz", condition: "or a", override: { condition: "append" } })],
    "LOAD_ERR_VALIDATE: Rule has been re-defined with a different source",
  ],
  [
    "an unknown field in an exception",
    [rule({ exceptions: [{ name: "e", fields: ["ka.nope"] }] })],
    "LOAD_ERR_VALIDATE: 'ka.nope' is not a supported filter field",
  ],
  [
    "an unknown operator in an exception",
    [rule({ exceptions: [{ name: "e", fields: ["ka.verb"], comps: ["~"] }] })],
    "LOAD_ERR_VALIDATE: '~' is not a supported comparison operator",
  ],
  [
    "a repeated key",
    ["- list: a\n  items: []\n  items: [b]\n"],
    "LOAD_ERR_YAML_VALIDATE: Key 'items' is repeated; keep one of them",
  ],
  [
    "a transformer with brackets it does not take",
    [rule({ condition: "tolower(ka.verb)[b] = x" })],
    "LOAD_ERR_COMPILE_CONDITION: transformer 'tolower' takes no argument in brackets",
  ],
  [
    "too many brackets",
    [`- ${"[".repeat(1_000_000)}`],
    "LOAD_ERR_YAML_PARSE: Rules content nests deeper than 32",
  ],
  [
    "a macro that writes itself out without end",
    [
      Array.from({ length: 40 }, (_, i) => `- {macro: m${i + 1}, condition: "m${i} or m${i}"}\n`)
        .join("")
        .replace("m0 or m0", "ka.verb=a"),
    ],
    "LOAD_ERR_VALIDATE: condition is too large once its macros are written out",
  ],
];
for (const [what, contents, want] of refused) {
  test(`loadRules() refuses ${what} and hands out no rule`, () => {
    const report = load(contents);
    assert.deepEqual(problems(report), [want]);
    assert.deepEqual([report.ok, report.ruleset.rules], [false, []]);
  });
}

const warned: readonly [string, string, readonly string[]][] = [
  ["an unknown key", rule({ colour: "red" }), ["LOAD_UNKNOWN_KEY"]],
  [
    "a priority in a list",
    "- {list: l, items: [], priority: INFO}",
    ["LOAD_UNKNOWN_KEY", "LOAD_UNUSED_LIST"],
  ],
  ["the old append", `${rule()}- {rule: r, condition: or ka.verb=x, append: true}`, ["LOAD_DEPRECATED_ITEM"]],
  ["a bare enabled", rule() + change({ enabled: false }), ["LOAD_DEPRECATED_ITEM"]],
  [
    "a macro that can not be called",
    "- {macro: a-b, condition: ka.verb exists}",
    ["LOAD_INVALID_MACRO_NAME", "LOAD_UNUSED_MACRO"],
  ],
  ["a rule of another source", rule({ source: "okta" }), ["LOAD_UNKNOWN_SOURCE"]],
  ["a word that prints nothing", rule({ output: "x %container.info y" }), ["LOAD_DEPRECATED_ITEM"]],
  [
    "exceptions of one name",
    rule({
      exceptions: [
        { name: "e", fields: "ka.verb" },
        { name: "e", fields: "ka.verb" },
      ],
    }),
    ["LOAD_EXCEPTION_NAME_NOT_UNIQUE"],
  ],
];
for (const [what, content, want] of warned) {
  test(`loadRules() warns of ${what} and loads`, () => {
    const report = load([content]);
    assert.deepEqual([problems(report), warnings(report)], [[], want]);
  });
}

const shared = (condition: string): string => `- ${JSON.stringify({ macro: "m", condition })}\n`;

test("a macro that rules of two sources use is refused in those whose events do not have its field", () => {
  const ofAudit = rule({ condition: "m" });
  const ofCalls = rule({ rule: "c", condition: "m", source: "syscall" });
  for (const [field, rules] of [
    ["ka.verb", ofAudit + ofCalls],
    ["proc.name", ofCalls + ofAudit],
  ] as const) {
    assert.deepEqual(problems(load([shared(`${field}=a or ${field}=b`) + rules])), [
      `LOAD_ERR_COMPILE_CONDITION: filter_check called with nonexistent field ${field}`,
    ]);
  }
});

test("each rule that uses a macro is warned of the macro's suspicious value", () => {
  const { results } = load([
    shared("ka.user.name=ka.verb") + rule({ condition: "m" }) + rule({ rule: "s", condition: "not m" }),
  ]);
  assert.deepEqual(
    results[0]?.warnings.map(({ code, message }) => `${code}: ${message}`),
    Array.from(
      { length: 2 },
      () => "LOAD_COMPILE_CONDITION: 'ka.verb' may be a valid field misused as a const string value",
    ),
  );
});

test("overrides append first, then replace, and keep the rule's place", () => {
  const report = load([
    rule({ tags: ["b"] }) + rule({ rule: "other" }),
    change({
      condition: "and ka.stage=x",
      tags: ["a"],
      desc: "new",
      override: { condition: "append", tags: "append", desc: "replace" },
    }),
  ]);
  assert.deepEqual(problems(report), []);
  const [first, second] = report.ruleset.rules;
  assert.equal(first?.condition, "(ka.verb = create and ka.stage = x)");
  assert.deepEqual([first?.tags, first?.desc, second?.name], [["a", "b"], "new", "other"]);
});

test("a file that fails leaves the other files' findings complete", () => {
  const report = load([rule({ condition: "ka.verb = " }), rule({ priority: "loud" }), rule()]);
  assert.deepEqual(
    report.results.map(({ successful }) => successful),
    [false, false, true],
  );
  assert.equal(report.ok, false);
});

test("switches and the least priority decide what is enabled, in their order", () => {
  const files = [rule({ rule: "pod exec", tags: ["t"] }) + rule({ rule: "pod run", priority: "ERROR" })];
  const enabled = (options: LoadOptions): readonly string[] =>
    load(files, options)
      .ruleset.rules.filter((one) => one.enabled)
      .map(({ name }) => name);
  assert.deepEqual(
    enabled({
      switches: [
        { action: "disable", rule: "pod*" },
        { action: "enable", tag: "t" },
      ],
    }),
    ["pod exec"],
  );
  assert.deepEqual(enabled({ switches: [{ action: "disable", rule: "*run" }] }), ["pod exec"]);
  assert.deepEqual(enabled({ switches: [{ action: "disable", rule: "pod" }] }), ["pod exec", "pod run"]);
  assert.deepEqual(enabled({ switches: [{ action: "disable", rule: "*e*c" }] }), ["pod run"]);
  // The first e is not followed by the end, and Falco looks no further.
  assert.deepEqual(enabled({ switches: [{ action: "disable", rule: "*d" }] }), ["pod exec", "pod run"]);
  assert.deepEqual(enabled({ minimumPriority: "warning" }), ["pod run"]);
});

test("a capture loads without a warning, and a note for people says that nothing is captured", () => {
  const report = load([rule({ capture: "yes", capture_duration: "0x10" })]);
  assert.deepEqual([problems(report), warnings(report)], [[], []]);
  const [note] = report.results[0]?.notes ?? [];
  assert.match(note?.message ?? "", /'capture' has no effect/);
});

test("loadRules() never throws, whatever the file", () => {
  const piece = fc.constantFrom(
    "- ",
    "rule: r\n",
    "  ",
    "condition: ",
    "ka.verb",
    "=",
    "\n",
    "[",
    "]",
    "{",
    "}",
    ":",
    "'",
    '"',
    "&a ",
    "*a",
    "!!x ",
    "---\n",
    "> \n",
    "list: l",
    "items: ",
    "override: ",
    "exceptions: ",
    "%ka.verb",
    "~",
    "\t",
    "#",
  );
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join("")),
  );
  fc.assert(
    fc.property(text, fc.string(), (content, condition) => {
      load([
        content,
        rule({
          condition,
          output: content,
          exceptions: [{ name: "e", fields: "ka.verb", values: [content] }],
        }),
      ]);
    }),
    { numRuns: 1000 },
  );
});
