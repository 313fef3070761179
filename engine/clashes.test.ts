import assert from "node:assert/strict";
import { test } from "node:test";
import { clashesOf, statementsIn } from "./index.ts";

const said = (name: string, content: string) => statementsIn([{ name, content }]);

/** What clashes, as "property: act line:column / act line:column". */
function clashes(one: string, other: string): readonly string[] {
  return clashesOf(said("one.yaml", one), said("other.yaml", other)).map((clash) => {
    const [a, b] = [clash.one, clash.other].map(
      ({ act, place }) => `${act} ${place.line + 1}:${place.column + 1}`,
    );
    return `${clash.kind} ${clash.name} ${clash.property ?? "whole"}: ${a} / ${b}`;
  });
}

const rule = (text: string) => `- rule: R\n${text.replaceAll(/^/gm, "  ")}\n`;
const replaced = (key: string, value: string) => rule(`${key}: ${value}\noverride: {${key}: replace}`);
const appended = (key: string, value: string) => rule(`${key}: ${value}\noverride: {${key}: append}`);
const whole = (priority: string) =>
  `- rule: R\n  desc: d\n  condition: ka.verb = get\n  output: o\n  priority: ${priority}\n  source: k8s_audit\n`;

const cases: readonly [string, string, string, readonly string[]][] = [
  [
    "two different values for one property",
    replaced("priority", "INFO"),
    replaced("priority", "ERROR"),
    ["rule R priority: replace 2:13 / replace 2:13"],
  ],
  ["the same value twice", replaced("priority", "INFO"), replaced("priority", '"INFO"'), []],
  ["different properties of one rule", replaced("priority", "INFO"), replaced("enabled", "false"), []],
  [
    "the old way to switch a rule off against the new one to leave it on",
    rule("enabled: false"),
    replaced("enabled", "true"),
    ["rule R enabled: replace 2:12 / replace 2:12"],
  ],
  [
    "a condition that one replaces and the other adds to",
    replaced("condition", "ka.verb = get"),
    appended("condition", "and ka.verb = list"),
    ["rule R condition: replace 2:14 / append 2:14"],
  ],
  [
    "two conditions narrowed by and",
    appended("condition", "and not ka.verb = get"),
    rule("append: true\ncondition: and (ka.verb = a or ka.verb = b)"),
    [],
  ],
  [
    "two conditions widened by or",
    appended("condition", "or ka.verb = a and ka.verb = b"),
    appended("condition", "or x"),
    [],
  ],
  [
    "one condition narrowed and the other widened",
    appended("condition", "and x"),
    appended("condition", "or y"),
    ["rule R condition: append 2:14 / append 2:14"],
  ],
  [
    "and A or B, which takes the condition before it apart",
    appended("condition", "and x or y"),
    appended("condition", "and z"),
    ["rule R condition: append 2:14 / append 2:14"],
  ],
  [
    "exceptions of two tools",
    appended("exceptions", "[{name: a, values: [[x, y]]}]"),
    appended("exceptions", "[{name: a, values: [[z, y]]}]"),
    [],
  ],
  ["a rule that both define alike", whole("INFO"), whole("INFO"), []],
  ["a rule that both define", whole("INFO"), whole("ERROR"), ["rule R whole: define 1:3 / define 1:3"]],
  [
    "a rule that one defines anew and the other tunes",
    whole("INFO"),
    appended("tags", "[x]"),
    ["rule R whole: define 1:3 / append 1:3"],
  ],
  [
    "a list that both set",
    "- list: l\n  items: [a]\n",
    "\n- list: l\n  items: [b]\n  override: {items: replace}\n",
    ["list l whole: define 1:3 / define 2:3"],
  ],
  [
    "a list that both add to",
    "- list: l\n  items: [a]\n  append: true\n",
    "- list: l\n  items: [b]\n  append: true\n",
    [],
  ],
  [
    "a list that one sets and the other adds to",
    "- list: l\n  items: [b]\n  override: {items: append}\n",
    "- list: l\n  items: [a]\n",
    ["list l whole: append 1:3 / define 1:3"],
  ],
  [
    "a macro that both define",
    "- macro: m\n  condition: ka.verb = get\n",
    "- macro: m\n  condition: ka.verb = put\n",
    ["macro m whole: define 1:3 / define 1:3"],
  ],
  ["a list and a macro of one name", "- list: l\n  items: [a]\n", "- macro: l\n  condition: x\n", []],
];

for (const [what, one, other, want] of cases) {
  const ends = want.length === 0 ? "is no clash" : "clashes, at both places";
  test(`clashesOf() ${what}: ${ends}`, () => {
    assert.deepEqual(clashes(one, other), want);
    assert.equal(clashes(other, one).length, want.length, "whichever comes first");
  });
}
