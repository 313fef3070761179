import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createDetector } from "#engine";
import { conditions, event, item, load, outcomes, rule } from "./language.ts";

const macro = (name: string, condition: string, parts: object = {}): string =>
  item({ macro: name, condition, ...parts });
const list = (name: string, items: readonly unknown[], parts: object = {}): string =>
  item({ list: name, items, ...parts });
const change = (parts: object, override: object): string => item({ rule: "r", ...parts, override });

test("priorities are read in any case and printed as Falco prints them", () => {
  const words = [
    "emergency",
    "Alert",
    "CRITICAL",
    "Error",
    "warning",
    "NOTICE",
    "info",
    "Informational",
    "debug",
  ];
  const report = load([words.map((priority, i) => rule({ rule: `r${i}`, priority })).join("")]);
  assert.deepEqual(
    report.ruleset.rules.map(({ priority }) => priority),
    [
      "Emergency",
      "Alert",
      "Critical",
      "Error",
      "Warning",
      "Notice",
      "Informational",
      "Informational",
      "Debug",
    ],
  );
});

test("tags are a sorted set and an output is trimmed at both ends", () => {
  const [one] = load([rule({ tags: ["b", "a", "b"], output: "\n x y \n" })]).ruleset.rules;
  assert.deepEqual([one?.tags, one?.output], [["a", "b"], "x y"]);
});

test("a rule without a source is one for system calls", () => {
  const [one] = load([rule({ source: undefined, condition: "evt.type = execve", output: "o" })]).ruleset
    .rules;
  assert.equal(one?.source, "syscall");
});

test("numbers and truth values in a list stay the text they were written as", () => {
  const report = load([
    `- {list: l, items: [1.50, true, 0x10, "a b"]}\n${rule({ condition: "ka.verb in (l)" })}`,
  ]);
  assert.deepEqual(conditions(report), { r: 'ka.verb in (1.50, true, 0x10, "a b")' });
});

/** Files, and what the conditions of their rules come to. */
const expanded: readonly (readonly [string, string, Readonly<Record<string, string>>])[] = [
  [
    "a rule that is defined again keeps its place and nothing else",
    rule({ tags: ["a"] }) + rule({ rule: "s" }) + rule({ condition: "ka.verb = x" }),
    { r: "ka.verb = x", s: "ka.verb = create" },
  ],
  [
    "appending is done to the text, so precedence is that of the text",
    macro("m", "ka.verb = a or ka.verb = b") +
      macro("m", "and ka.verb = c", { override: { condition: "append" } }) +
      rule({ condition: "m" }),
    { r: "(ka.verb = a or (ka.verb = b and ka.verb = c))" },
  ],
  [
    "a redefined macro counts everywhere",
    macro("m", "ka.verb = a") + rule({ condition: "m" }) + macro("m", "ka.verb = b"),
    { r: "ka.verb = b" },
  ],
  [
    "the last list counts everywhere",
    list("l", ["a"]) + rule({ condition: "ka.verb in (l)" }) + list("l", ["b"]),
    { r: "ka.verb in (b)" },
  ],
  [
    "appended items stand behind",
    list("l", ["a"]) +
      list("l", ["b"], { override: { items: "append" } }) +
      rule({ condition: "ka.verb in (l)" }),
    { r: "ka.verb in (a, b)" },
  ],
  [
    "a list with one item may stand alone",
    list("l", ["a"]) + rule({ condition: "ka.verb = l" }),
    { r: "ka.verb = a" },
  ],
  [
    "a list's name inside a quoted text is replaced too",
    list("l", ["a"]) + rule({ condition: "ka.verb = 'x l y'" }),
    { r: 'ka.verb = "x a y"' },
  ],
  [
    "a list's name inside a word stays",
    list("l", ["a"]) + rule({ condition: "ka.verb = x-l or ka.verb = ll" }),
    { r: "(ka.verb = x-l or ka.verb = ll)" },
  ],
  [
    "items with a blank are quoted",
    list("l", ["a b", "'c d'"]) + rule({ condition: "ka.verb in (l)" }),
    { r: 'ka.verb in ("a b", "c d")' },
  ],
  [
    "an empty list takes a comma with it",
    list("l", []) + rule({ condition: "ka.verb in (a, l, b)" }),
    { r: "ka.verb in (a, b)" },
  ],
  [
    "a list in a list",
    list("a", ["x", "y"]) + list("b", ["a", "z"]) + rule({ condition: "ka.verb in (b)" }),
    { r: "ka.verb in (x, y, z)" },
  ],
];
describe("what conditions come to", () => {
  for (const [what, content, want] of expanded) {
    test(what, () => {
      const report = load([content]);
      assert.deepEqual([outcomes(report), conditions(report)], [["ok"], want]);
    });
  }
});

test("a redefinition resets what it does not say, an override leaves it", () => {
  const before = rule({ tags: ["a"], enabled: false, desc: "old" });
  const [again] = load([before + rule()]).ruleset.rules;
  assert.deepEqual([again?.tags, again?.enabled, again?.desc], [[], true, "d"]);
  const [changed] = load([before + change({ output: "new" }, { output: "replace" })]).ruleset.rules;
  assert.deepEqual([changed?.tags, changed?.enabled, changed?.output], [["a"], false, "new"]);
});

test("other keys of an old append are passed over", () => {
  const [one] = load([
    rule() + item({ rule: "r", append: true, condition: "or ka.verb = x", output: "new", enabled: false }),
  ]).ruleset.rules;
  assert.deepEqual(
    [one?.output, one?.enabled, one?.condition],
    ["o", true, "(ka.verb = create or ka.verb = x)"],
  );
});

test("appends come before replaces, whatever their order", () => {
  const parts = { condition: "and ka.stage exists", tags: ["z"], priority: "ERROR", output: "new" };
  const override = { output: "replace", priority: "replace", condition: "append", tags: "append" };
  const [one] = load([rule({ tags: ["a"] }) + change(parts, override)]).ruleset.rules;
  assert.deepEqual(
    [one?.condition, one?.tags, one?.priority, one?.output],
    ["(ka.verb = create and ka.stage exists)", ["a", "z"], "Error", "new"],
  );
});

test("rules below the least priority are read and never enabled, and their mistakes still count", () => {
  const content = rule({ rule: "low", priority: "DEBUG" }) + rule({ rule: "high", priority: "ERROR" });
  const { ruleset } = load([content], { minimumPriority: "warning" });
  assert.deepEqual(
    ruleset.rules.map(({ name, enabled }) => [name, enabled]),
    [
      ["low", false],
      ["high", true],
    ],
  );
  const broken = load([rule({ priority: "DEBUG", condition: "ka.nope exists" })], {
    minimumPriority: "warning",
  });
  assert.equal(broken.ok, false);
});

test("rules are evaluated in the order in which they first stood", () => {
  const report = load([rule({ rule: "b" }) + rule({ rule: "a" }), rule({ rule: "b", desc: "again" })]);
  const names = (ruleMatching: "first" | "all"): readonly string[] =>
    createDetector(report.ruleset, { hostname: "h", ruleMatching })
      .detect(JSON.stringify(event))
      .alerts.map((one) => one.rule);
  assert.deepEqual([names("first"), names("all")], [["b"], ["b", "a"]]);
});
