import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { item, load, outcomes, rule } from "./language.ts";

const macro = (name: string, condition: string, parts: object = {}): string =>
  item({ macro: name, condition, ...parts });
const list = (name: string, items: readonly unknown[], parts: object = {}): string =>
  item({ list: name, items, ...parts });
const change = (parts: object, override: object): string => item({ rule: "r", ...parts, override });

/** Files, and for each `ok` or how its error starts. */
const files: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  [
    "several documents, empty ones and nothing",
    [`${rule()}---\n---\n~\n---\n${list("l", [])}`, "", "# x\n"],
    ["ok", "ok", "ok"],
  ],
  ["a null item", [`- ~\n-\n${rule()}`], ["ok"]],
  ["the first kind of several in one item", [item({ rule: "x", list: "l", items: [] })], ["ok"]],
  [
    "truth values in every spelling",
    [
      ["y", "Yes", "TRUE", "on", "n", "No", "FALSE", "Off"]
        .map((word) => `${rule().trimEnd().slice(0, -1)}, "enabled": ${word}}\n`)
        .join(""),
    ],
    ["ok"],
  ],
  ["a truth value in mixed case", [rule({ enabled: "yEs" })], ["LOAD_ERR_YAML_VALIDATE: Can't decode"]],
  [
    "an empty required text",
    [rule({ desc: null })],
    ["LOAD_ERR_YAML_VALIDATE: Mapping for key 'desc' is empty"],
  ],
  ["a list item that is a list", [list("l", [["a"]])], ["LOAD_ERR_YAML_VALIDATE"]],
  [
    "a broken file between two good ones",
    [rule(), "- [", rule({ rule: "s" })],
    ["ok", "LOAD_ERR_YAML_PARSE", "ok"],
  ],
  [
    "a definition above an error, used by a later file",
    [`${macro("m", "ka.verb exists")}- rule: x\n`, rule({ condition: "m" })],
    ["LOAD_ERR_YAML_VALIDATE", "ok"],
  ],
  [
    "a definition above a version that is too new",
    [`${macro("m", "ka.verb exists")}- required_engine_version: 99\n`, rule({ condition: "m" })],
    ["LOAD_ERR_VALIDATE: Rules require engine version 0.99.0, but engine version is 0.62.0", "ok"],
  ],
  [
    "engine versions as a number and as three",
    ["- required_engine_version: 62\n- required_engine_version: 0.1.5\n"],
    ["ok"],
  ],
  [
    "another major version",
    ["- required_engine_version: 1.0.0\n"],
    ["LOAD_ERR_VALIDATE: Rules require engine version 1.0.0"],
  ],
  [
    "a plugin that is there",
    ["- required_plugin_versions: [{name: k8saudit, version: 0.7.0}, {name: json, version: 0.7.0}]\n"],
    ["ok"],
  ],
  [
    "an alternative that is there",
    [
      "- required_plugin_versions: [{name: x, version: 1.0.0, alternatives: [{name: json, version: 0.1.0}]}]\n",
    ],
    ["ok"],
  ],
  [
    "a named plugin of a wrong version, before a fitting alternative",
    [
      "- required_plugin_versions: [{name: json, version: 1.0.0, alternatives: [{name: k8saudit, version: 0.7.0}]}]\n",
    ],
    ["LOAD_ERR_VALIDATE: Plugin 'json'"],
  ],
  [
    "a plugin that is not there",
    ["- required_plugin_versions: [{name: x, version: 1.0.0}]\n"],
    ["LOAD_ERR_VALIDATE: Plugin requirement not satisfied"],
  ],
  [
    "a plugin twice in one entry",
    ["- required_plugin_versions: [{name: x, version: 1.0.0, alternatives: [{name: x, version: 1.0.0}]}]\n"],
    ["LOAD_ERR_VALIDATE"],
  ],
  [
    "a plugin version that is none",
    ["- required_plugin_versions: [{name: json, version: one}]\n"],
    ["LOAD_ERR_VALIDATE"],
  ],
  ["a priority that is none", [rule({ priority: "LOUD" })], ["LOAD_ERR_YAML_VALIDATE: Invalid priority"]],
  [
    "a redefinition without the source",
    [rule() + rule({ source: undefined })],
    ["LOAD_ERR_VALIDATE: Rule has been re-defined with a different source"],
  ],
  [
    "an override of the condition that names another source",
    [rule() + change({ source: "syscall", condition: "ka.verb = x" }, { condition: "replace" })],
    ["LOAD_ERR_VALIDATE: Rule has been re-defined with a different source"],
  ],
  [
    "an override of something else that names another source, which nobody looks at",
    [rule() + change({ source: "syscall", desc: "x" }, { desc: "replace" })],
    ["ok"],
  ],
  [
    "an append without condition or exceptions",
    [rule() + item({ rule: "r", append: true, output: "x" })],
    ["LOAD_ERR_VALIDATE: Appended rule must have exceptions or condition property"],
  ],
  [
    "append and override together",
    [
      rule() +
        item({ rule: "r", append: true, condition: "or ka.verb=x", override: { condition: "append" } }),
    ],
    ["LOAD_ERR_YAML_VALIDATE: Keys 'override' and 'append: true' cannot be used together"],
  ],
  [
    "a list and a macro that replace nothing",
    [
      list("l", [], { override: { items: "replace" } }) +
        macro("m", "ka.verb exists", { override: { condition: "replace" } }),
    ],
    ["ok"],
  ],
  [
    "an override of a rule in the file before",
    [rule(), change({ condition: "and ka.stage = x" }, { condition: "append" })],
    ["ok", "ok"],
  ],
  [
    "a macro that only a later file breaks",
    [macro("m", "ka.verb exists") + rule({ condition: "m" }), macro("m", "ka.nope exists")],
    ["ok", "LOAD_ERR_COMPILE_CONDITION: filter_check called with nonexistent field ka.nope"],
  ],
  [
    "a macro that uses a later one",
    [macro("a", "b") + macro("b", "ka.verb exists")],
    ["LOAD_ERR_VALIDATE: Undefined macro 'b' used in filter."],
  ],
  [
    "a macro that uses a later one, but is redefined behind it",
    [macro("a", "ka.verb exists") + macro("b", "ka.verb exists") + macro("a", "b")],
    ["ok"],
  ],
  ["a rule that uses a later macro", [rule({ condition: "b" }) + macro("b", "ka.verb exists")], ["ok"]],
  [
    "a macro that comes back to itself",
    [macro("a", "ka.verb exists") + macro("b", "a") + macro("a", "b")],
    ["LOAD_ERR_VALIDATE: reference loop in macro"],
  ],
  ["a macro nobody uses, with a field that is none", [macro("m", "ka.nope exists")], ["ok"]],
  ["a macro nobody uses, with bad grammar", [macro("m", "ka.verb =")], ["LOAD_ERR_COMPILE_CONDITION"]],
  [
    "a rule of an unknown source with a condition that is none",
    [rule({ source: "nothing", condition: "((" })],
    ["ok"],
  ],
  [
    "a bad output before a bad condition",
    [rule({ output: "%nope", condition: "ka.nope exists" })],
    ["LOAD_ERR_COMPILE_OUTPUT"],
  ],
  [
    "a disabled rule with a bad condition",
    [rule({ enabled: false, condition: "ka.nope exists" })],
    ["LOAD_ERR_COMPILE_CONDITION"],
  ],
  [
    "a list that stands where no list may",
    [list("l", ["a", "b"]) + rule({ condition: "ka.verb = l" })],
    ["LOAD_ERR_COMPILE_CONDITION"],
  ],
  [
    "a condition that is skipped for an unknown field",
    [rule({ condition: "ka.nope exists", "skip-if-unknown-filter": true })],
    ["ok"],
  ],
  [
    "an output that is skipped for an unknown field",
    [rule({ output: "%nope", "skip-if-unknown-filter": true })],
    ["ok"],
  ],
  [
    "bad grammar that is not skipped",
    [rule({ condition: "ka.verb =", "skip-if-unknown-filter": true })],
    ["LOAD_ERR_COMPILE_CONDITION"],
  ],
  [
    "an append to no rule, which comes before what the append lacks",
    [item({ rule: "q", append: true, output: "x" })],
    ["LOAD_ERR_VALIDATE: Rule uses 'append' or 'override.<key>: append' but no rule by that name"],
  ],
  [
    "keys of an override, read in an order of their own",
    [rule() + change({ output: "x" }, { output: "append", condition: "append" })],
    [
      "LOAD_ERR_YAML_VALIDATE: An append override for 'condition' was specified but 'condition' is not defined",
    ],
  ],
  [
    "several keys without an entry, of which the first in the alphabet is named",
    [rule() + change({ desc: "x", tags: ["a"], capture: true, output: "o" }, { desc: "append" })],
    ["LOAD_ERR_YAML_VALIDATE: Unexpected key 'capture': no corresponding entry"],
  ],
  [
    "an override with a source that is empty",
    [rule() + change({ source: null, condition: "and ka.stage = x" }, { condition: "append" })],
    ["ok"],
  ],
  [
    "a definition with a source that is empty",
    [rule({ source: null })],
    ["LOAD_ERR_YAML_VALIDATE: Mapping for key 'source'"],
  ],
  [
    "an operation that is no text",
    [rule() + change({ desc: "x" }, { desc: ["append"] })],
    ["LOAD_ERR_VALIDATE: yaml-cpp: error at line 2, column"],
  ],
  [
    "engine versions with more behind them, in octal and in hexadecimal",
    [
      "- required_engine_version: 0.62.0-rc1\n- required_engine_version: 0.1.0.5\n",
      "- required_engine_version: 0100\n",
      "- required_engine_version: 0x3F\n",
      "- required_engine_version: '0.62'\n",
    ],
    [
      "ok",
      "LOAD_ERR_VALIDATE: Rules require engine version 0.64.0",
      "LOAD_ERR_VALIDATE: Rules require engine version 0.63.0",
      "LOAD_ERR_YAML_VALIDATE: Unable to parse engine version '0.62'",
    ],
  ],
  [
    "a plugin that is not there before an error, in a file before one that is right",
    ["- required_plugin_versions: [{name: x, version: 1.0.0}]\n- a\n", rule()],
    ["LOAD_ERR_VALIDATE: Plugin requirement not satisfied", "ok"],
  ],
  [
    "fields of an exception that are null, or none",
    [rule({ exceptions: [{ name: "e", fields: null }] }), rule({ exceptions: [{ name: "e", fields: [] }] })],
    Array.from({ length: 2 }, () => "LOAD_ERR_VALIDATE: Rule exception item must have fields property"),
  ],
  [
    "one operator for a list of fields",
    [rule({ exceptions: [{ name: "e", fields: ["ka.verb"], comps: "in" }] })],
    ["LOAD_ERR_VALIDATE: Fields and comps lists must have equal length"],
  ],
  [
    "a list of operators for one field",
    [rule({ exceptions: [{ name: "e", fields: "ka.verb", comps: ["in"] }] })],
    ["LOAD_ERR_VALIDATE: Fields and comps must both be strings"],
  ],
  [
    "no operators, which is as leaving them out",
    [rule({ exceptions: [{ name: "e", fields: ["ka.verb"], comps: [] }] })],
    ["ok"],
  ],
  [
    "a field in an exception that lacks its argument",
    [rule({ exceptions: [{ name: "e", fields: ["ka.uri.param"] }] })],
    ["LOAD_ERR_VALIDATE: filter 'ka.uri.param': ka.uri.param requires an argument"],
  ],
  [
    "a transformer of a field that is none",
    [rule({ exceptions: [{ name: "e", fields: ["tolower(ka.nope)"] }] })],
    ["LOAD_ERR_VALIDATE: 'tolower(ka.nope)' is not a supported filter field"],
  ],
  [
    "exceptions of a source that is unknown: operators are checked, fields are not",
    [
      rule({ source: "nothing", exceptions: [{ name: "e", fields: ["no.field"] }] }),
      rule({ rule: "s", source: "nothing", exceptions: [{ name: "e", fields: ["no.field"], comps: ["~"] }] }),
    ],
    ["ok", "LOAD_ERR_VALIDATE: '~' is not a supported comparison operator"],
  ],
  [
    "values of an exception that are null or mappings, which count as empty texts",
    [
      rule({ exceptions: [{ name: "e", fields: "ka.verb", values: [null] }] }),
      rule({ exceptions: [{ name: "e", fields: ["ka.verb"], values: [{ a: "b" }] }] }),
    ],
    ["ok", "LOAD_ERR_VALIDATE: Fields and values lists must have equal length"],
  ],
  [
    "replaced exceptions without fields",
    [rule() + change({ exceptions: [{ name: "e", values: ["a"] }] }, { exceptions: "replace" })],
    ["LOAD_ERR_YAML_VALIDATE: Item has no mapping for key 'fields'"],
  ],
  [
    "replaced exceptions with a field that is none, which is found when the condition is compiled",
    [
      rule() +
        change(
          { exceptions: [{ name: "e", fields: ["ka.nope"], comps: ["="], values: [["a"]] }] },
          { exceptions: "replace" },
        ),
    ],
    ["LOAD_ERR_COMPILE_CONDITION: filter_check called with nonexistent field ka.nope"],
  ],
  [
    "the first problem from left to right, be it a pattern or a field",
    [
      rule({ condition: "ka.verb regex '(' and ka.nope = a" }),
      rule({ condition: "ka.nope = a and ka.verb regex '('" }),
    ],
    ["LOAD_ERR_COMPILE_CONDITION: invalid regex", "LOAD_ERR_COMPILE_CONDITION: filter_check called"],
  ],
];
describe("rules files", () => {
  for (const [what, contents, want] of files) {
    test(`${what}: ${want.map((one) => one.split(":")[0]).join(", ")}`, () => {
      const found = outcomes(load(contents));
      assert.deepEqual(
        found.map((one, i) => one.slice(0, want[i]?.length)),
        want,
        found.join("\n"),
      );
    });
  }
});
