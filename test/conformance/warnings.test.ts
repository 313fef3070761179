import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { item, load, outcomes, rule, warnings } from "./language.ts";

const macro = (name: string, condition: string): string => item({ macro: name, condition });
const list = (name: string, items: readonly unknown[], parts: object = {}): string =>
  item({ list: name, items, ...parts });

/** A file, and the codes of its warnings. */
const warned: readonly (readonly [string, string, readonly string[]])[] = [
  ["an item that is none", "- {colour: red}\n", ["LOAD_UNKNOWN_ITEM"]],
  [
    "a key of another kind of item",
    list("l", [], { priority: "INFO" }),
    ["LOAD_UNKNOWN_KEY", "LOAD_UNUSED_LIST"],
  ],
  [
    "an unknown key inside an exception, which nobody warns of",
    rule({ exceptions: [{ name: "e", fields: "ka.verb", value: ["x"] }] }),
    [],
  ],
  ["a list name with a blank", list("a b", []), ["LOAD_INVALID_LIST_NAME", "LOAD_UNUSED_LIST"]],
  [
    "a macro name with a dash",
    macro("a-b", "ka.verb exists"),
    ["LOAD_INVALID_MACRO_NAME", "LOAD_UNUSED_MACRO"],
  ],
  ["a source that is unknown", rule({ source: "nothing" }), ["LOAD_UNKNOWN_SOURCE"]],
  [
    "an old append",
    rule() + item({ rule: "r", append: true, condition: "or ka.verb = x" }),
    ["LOAD_DEPRECATED_ITEM"],
  ],
  ["an old switch", rule() + item({ rule: "r", enabled: false }), ["LOAD_DEPRECATED_ITEM"]],
  ["a comparison with <NA>", rule({ condition: "ka.verb != <NA>" }), ["LOAD_UNSAFE_NA_CHECK"]],
  [
    "a transformer's comparison with <NA>",
    rule({ condition: "tolower(ka.verb) in (<NA>)" }),
    ["LOAD_UNSAFE_NA_CHECK"],
  ],
  [
    "a list that stands for itself, used all the same",
    list("l", ["l"]) + rule({ condition: "ka.verb in ( l )" }),
    [],
  ],
  ["a pattern that is a plain text", rule({ condition: "ka.verb regex create" }), ["LOAD_COMPILE_CONDITION"]],
  [
    "a value that is the name of a field",
    rule({ condition: "ka.verb = ka.stage" }),
    ["LOAD_COMPILE_CONDITION"],
  ],
  ["a value that is a call", rule({ condition: "ka.verb in ('tolower(x)')" }), ["LOAD_COMPILE_CONDITION"]],
  [
    "a field that is skipped",
    rule({ condition: "ka.nope exists", "skip-if-unknown-filter": true }),
    ["LOAD_UNKNOWN_FILTER"],
  ],
  ["a list used by a list alone", list("a", []) + list("b", ["a"]), ["LOAD_UNUSED_LIST"]],
  ["a macro used by a macro alone", macro("a", "ka.verb exists") + macro("b", "a"), ["LOAD_UNUSED_MACRO"]],
  [
    "two exceptions of one name",
    rule({
      exceptions: [
        { name: "e", fields: "ka.verb" },
        { name: "e", fields: "ka.verb" },
      ],
    }),
    ["LOAD_EXCEPTION_NAME_NOT_UNIQUE"],
  ],
];
describe("warnings", () => {
  test("each pattern that is nearly a plain text, and no other", () => {
    const patterns = [".*foo$", "^.*a", "^foo.*", "foo.*$", ".*", "", "a.c", "..*"];
    const report = load([rule({ condition: patterns.map((one) => `ka.verb regex '${one}'`).join(" or ") })]);
    const named = report.results[0]?.warnings.map(
      ({ message }) => /^regex check with '(.*)' may/.exec(message)?.[1],
    );
    assert.deepEqual(named, [".*foo$", "^foo.*", ".*", ""]);
  });

  for (const [what, content, want] of warned) {
    test(`${what}: ${want.join(", ") || "none"}`, () => {
      const report = load([content]);
      assert.deepEqual([outcomes(report), warnings(report)], [["ok"], [want]]);
    });
  }

  test("a macro is reported as unused by the file that defines it, even when a later file uses it", () => {
    const report = load([macro("m", "ka.verb exists"), rule({ condition: "m" })]);
    assert.deepEqual(warnings(report), [["LOAD_UNUSED_MACRO"], []]);
  });
});
