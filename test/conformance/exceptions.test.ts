import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { conditions, item, load, outcomes, rule, verdict, warnings } from "./language.ts";

type Exception = Readonly<Record<string, unknown>>;
const ruleWith = (...exceptions: readonly Exception[]): string => rule({ exceptions });
const append = (...exceptions: readonly Exception[]): string =>
  item({ rule: "r", exceptions, override: { exceptions: "append" } });
const replace = (...exceptions: readonly Exception[]): string =>
  item({ rule: "r", exceptions, override: { exceptions: "replace" } });

/** What an exception makes of the condition `ka.verb = create`. */
const expanded: readonly (readonly [string, string, string])[] = [
  [
    "a single field compares with `in`",
    ruleWith({ name: "e", fields: "ka.user.name", values: ["a", "b"] }),
    "(ka.verb = create and not ka.user.name in (a, b))",
  ],
  [
    "a single field may take pmatch",
    ruleWith({ name: "e", fields: "ka.user.name", comps: "pmatch", values: ["/etc"] }),
    "(ka.verb = create and not ka.user.name pmatch (/etc))",
  ],
  [
    "a single field may take a modifier",
    ruleWith({ name: "e", fields: "ka.user.name", comps: "startswith oneof", values: ["a", "b"] }),
    "(ka.verb = create and not ka.user.name startswith oneof (a, b))",
  ],
  [
    "several fields compare with `=`",
    ruleWith({
      name: "e",
      fields: ["ka.user.name", "ka.target.name"],
      values: [
        ["a", "b"],
        ["c", "d"],
      ],
    }),
    "(ka.verb = create and not ((ka.user.name = a and ka.target.name = b) or (ka.user.name = c and ka.target.name = d)))",
  ],
  [
    "a list or a single text may stand for a list operator",
    ruleWith({
      name: "e",
      fields: ["ka.user.name", "ka.target.name"],
      comps: ["in", "in"],
      values: [[["a", "b"], "c"]],
    }),
    "(ka.verb = create and not (ka.user.name in (a, b) and ka.target.name in (c)))",
  ],
  [
    "each exception takes away on its own",
    ruleWith(
      { name: "e", fields: "ka.user.name", values: ["a"] },
      { name: "f", fields: "ka.target.name", values: ["b"] },
    ),
    "(ka.verb = create and not ka.user.name in (a) and not ka.target.name in (b))",
  ],
  [
    "one without values takes nothing away",
    ruleWith({ name: "e", fields: "ka.user.name" }),
    "ka.verb = create",
  ],
  [
    "a value with a blank is quoted, one with a quote is left alone",
    ruleWith({ name: "e", fields: "ka.user.name", values: ["a b", "'c d'"] }),
    '(ka.verb = create and not ka.user.name in ("a b", "c d"))',
  ],
  [
    "a transformer is a field like any other",
    ruleWith({ name: "e", fields: ["tolower(ka.user.name)"], values: [["a"]] }),
    "(ka.verb = create and not tolower(ka.user.name) = a)",
  ],
  [
    "a value is syntax: a call is called",
    ruleWith({ name: "e", fields: ["ka.user.name"], values: [["toupper(ka.verb)"]] }),
    "(ka.verb = create and not ka.user.name = toupper(ka.verb))",
  ],
  [
    "a value is syntax: the name of a list is its items",
    item({ list: "l", items: ["a", "b"] }) + ruleWith({ name: "e", fields: "ka.user.name", values: ["l"] }),
    "(ka.verb = create and not ka.user.name in (a, b))",
  ],
  [
    "appended values stand behind",
    ruleWith({ name: "e", fields: "ka.user.name", values: ["a"] }) + append({ name: "e", values: ["b"] }),
    "(ka.verb = create and not ka.user.name in (a, b))",
  ],
  [
    "an appended exception with a new name is a new one",
    rule() + append({ name: "e", fields: "ka.user.name", values: ["a"] }),
    "(ka.verb = create and not ka.user.name in (a))",
  ],
  [
    "replacing takes all that were there",
    ruleWith({ name: "e", fields: "ka.user.name", values: ["a"] }) +
      replace({ name: "f", fields: "ka.target.name", values: ["b"] }),
    "(ka.verb = create and not ka.target.name in (b))",
  ],
  [
    "the condition is put in brackets as a whole",
    rule({
      condition: "ka.verb = a or ka.verb = b",
      exceptions: [{ name: "e", fields: "ka.user.name", values: ["x"] }],
    }),
    "((ka.verb = a or ka.verb = b) and not ka.user.name in (x))",
  ],
];
describe("what exceptions come to", () => {
  for (const [what, content, want] of expanded) {
    test(what, () => {
      const report = load([content]);
      assert.deepEqual([outcomes(report), conditions(report)["r"]], [["ok"], want]);
    });
  }
});

const fieldsMissing = "LOAD_ERR_VALIDATE: Rule exception must have fields property with a list of fields";
const refused: readonly (readonly [string, string, string])[] = [
  [
    "without a name",
    ruleWith({ fields: "ka.verb" }),
    "LOAD_ERR_YAML_VALIDATE: Item has no mapping for key 'name'",
  ],
  ["without fields", ruleWith({ name: "e" }), "LOAD_ERR_YAML_VALIDATE: Item has no mapping for key 'fields'"],
  [
    "with fields and comps of unequal length",
    ruleWith({ name: "e", fields: ["ka.verb"], comps: ["=", "="] }),
    "LOAD_ERR_VALIDATE: Fields and comps lists must have equal length",
  ],
  [
    "with an operator that is none",
    ruleWith({ name: "e", fields: ["ka.verb"], comps: ["like"] }),
    "LOAD_ERR_VALIDATE: 'like' is not a supported comparison operator",
  ],
  [
    "with an operator that a single field does not take",
    ruleWith({ name: "e", fields: "ka.verb", comps: "startswith" }),
    "LOAD_ERR_VALIDATE: When fields is a single value",
  ],
  [
    "with a field that is none",
    ruleWith({ name: "e", fields: ["ka.nope"] }),
    "LOAD_ERR_VALIDATE: 'ka.nope' is not a supported filter field",
  ],
  [
    "with a list among the values of a single field",
    ruleWith({ name: "e", fields: "ka.verb", values: [["a"]] }),
    "LOAD_ERR_VALIDATE: Expected values array to contain a list of strings",
  ],
  [
    "with too short a tuple",
    ruleWith({ name: "e", fields: ["ka.verb", "ka.stage"], values: [["a"]] }),
    "LOAD_ERR_VALIDATE: Fields and values lists must have equal length",
  ],
  [
    "with values that are no sequence",
    ruleWith({ name: "e", fields: "ka.verb", values: "a" }),
    "LOAD_ERR_YAML_VALIDATE: Rule exception values must be a sequence",
  ],
  [
    "appending fields to one that is there",
    ruleWith({ name: "e", fields: "ka.verb" }) + append({ name: "e", fields: "ka.stage", values: ["a"] }),
    "LOAD_ERR_VALIDATE: Can not append exception fields to existing exception, only values",
  ],
  ["appending a new one without fields", rule() + append({ name: "e", values: ["a"] }), fieldsMissing],
  [
    "appending a new one without values",
    rule() + append({ name: "e", fields: "ka.verb" }),
    "LOAD_ERR_VALIDATE: Rule exception must have values property",
  ],
];
describe("an exception is refused", () => {
  for (const [what, content, want] of refused) {
    test(what, () => {
      const [found = ""] = outcomes(load([content]));
      assert.equal(found.slice(0, want.length), want);
    });
  }
});

test("appending an exception without values is warned of and changes nothing", () => {
  const report = load([
    ruleWith({ name: "e", fields: "ka.user.name", values: ["a"] }) + append({ name: "e" }),
  ]);
  assert.deepEqual(warnings(report), [["LOAD_APPEND_NO_VALUES"]]);
  assert.equal(conditions(report)["r"], "(ka.verb = create and not ka.user.name in (a))");
});

test("an exception silences what it names and nothing else", () => {
  const excepted = "(ka.verb = create) and not (ka.user.name in (Alice))";
  assert.equal(verdict(excepted), "silent");
  assert.equal(verdict(excepted.replace("Alice", "Bob")), "fires");
});
