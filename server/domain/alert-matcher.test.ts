import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import {
  compileMatchers,
  matchersText,
  matchOperators,
  parseMatchers,
  subjectOf,
  valuesOf,
  type AlertFacts,
  type AlertMatcher,
} from "./alert-matcher.ts";
import { priorities, priorityNumber } from "./priority.ts";

const facts: AlertFacts = {
  rule: "Exec into a pod",
  priority: 4,
  source: "k8s_audit",
  output: "Warning exec by alice",
  tags: ["T1609", "mitre_execution"],
  actor: "alice",
  cluster: "prod-eu-1",
  labels: { region: "eu", team: "payments", "example.com/owner": "sre" },
  fields: { "ka.user.name": "system:serviceaccount:ops:ci", "ka.response.code": 101, "ka.target.name": null },
};

const cases: [string, boolean][] = [
  ["", true],
  ['rule="Exec into a pod"', true],
  ["rule=Exec into a pod, priority>=warning", true],
  ['{rule!="Exec into a pod"}', false],
  ["priority>=error", false],
  ["priority<=warning", true],
  ["priority>debug", true],
  ["priority!=warning", false],
  ["cluster=~prod-.*", true],
  ["cluster=~prod", false],
  ["region=eu,team!=payments", false],
  ["label.example.com/owner=sre", true],
  ['tribe=""', true],
  ['team!=""', true],
  ["constructor=~.+", false],
  ["tag=T1609", true],
  ["tag!=T1609", false],
  ["tag!~mitre_.*", false],
  ['ka.user.name=~"system:.*"', true],
  ["ka.user.name=~`system:serviceaccount:(ops|dev):\\w+`", true],
  ["ka.response.code=101", true],
  ['ka.target.name="", ka.target.namespace=""', true],
  ["__proto__.polluted=x", false],
  ["actor=alice, source=k8s_audit", true],
];
for (const [text, want] of cases) {
  test(`matchers ${text === "" ? "(none)" : text} ${want ? "hold" : "do not hold"}`, () => {
    assert.equal(compileMatchers(parsed(text))(facts), want);
  });
}

const refused: [string, RegExp][] = [
  ["rule", /expected one of/],
  ["=x", /expected a name/],
  ["rule=", /expected a value/],
  ['rule="x', /closing quote/],
  ["rule=`x", /closing backtick/],
  ["rule=x,", /ends with a comma/],
  ['rule="x" y', /expected a comma or the end/],
  ["priority>=loud", /none of Falco's priorities/],
  ["priority=~war.*", /compares priority by =~/],
  ["rule>=x", /only priority can be/],
  ["rule=~(", /no regular expression/],
  ['rule=~"((a{100}){100}){100}"', /no regular expression|repeats too much/],
  ['rule=~".*a.{900}"', /repeats too much/],
  ['ka.user.name=~"a\\.b"', /backticks/],
  [`rule="${"x".repeat(2_000)}"`, /more than 1024/],
  ["x".repeat(5_000), /longer than 4096/],
  [Array.from({ length: 33 }, () => "a=b").join(","), /more than 32/],
];
for (const [text, why] of refused) {
  test(`parseMatchers() refuses ${text.slice(0, 40)} and says why`, () => {
    const outcome = parseMatchers("filter.matchers", text);
    assert.ok(!outcome.ok && outcome.refusal.kind === "invalid");
    assert.match(outcome.refusal.problems[0]?.why ?? "", why);
  });
}

const name = fc.constantFrom(
  "rule",
  "cluster",
  "region",
  "tag",
  "label.a/b",
  "ka.user.name",
  "jevt.value[/a,b]",
);
const ordinary: fc.Arbitrary<AlertMatcher> = fc.record({
  name,
  operator: fc.constantFrom("=" as const, "!=" as const),
  value: fc.string({ unit: "grapheme", maxLength: 40 }),
});
const byPriority: fc.Arbitrary<AlertMatcher> = fc.record({
  name: fc.constant("priority"),
  operator: fc.constantFrom(
    "=" as const,
    "!=" as const,
    ">=" as const,
    "<=" as const,
    ">" as const,
    "<" as const,
  ),
  value: fc.constantFrom(...priorities.map((word) => word.toLowerCase())),
});
const byPattern: fc.Arbitrary<AlertMatcher> = fc
  .record({
    name,
    operator: fc.constantFrom("=~" as const, "!~" as const),
    value: fc.constantFrom("a.*", "(x|y)", '"', "\\d+\\\\", "a,b", "", "{2}x"),
  })
  .filter(({ value }) => parseMatchers("m", `rule=~\`${value}\``).ok);
const matchers = fc.array(fc.oneof(ordinary, byPriority, byPattern), { maxLength: 8 });

test("parseMatchers() reads back what matchersText() wrote, whatever the values hold", () => {
  fc.assert(
    fc.property(matchers, (given) =>
      assert.deepEqual(
        parsed(matchersText(given)),
        given.map((each) => ({ ...each })),
      ),
    ),
  );
});

test("parseMatchers() answers in words and never throws, whatever arrives", () => {
  const token = fc.constantFrom(
    "rule",
    "priority",
    "ka.x",
    "{",
    "}",
    ",",
    '"',
    "`",
    "\\",
    " ",
    "(",
    "*",
    ...matchOperators,
  );
  const text = fc
    .array(fc.oneof(token, fc.string({ maxLength: 5 })), { maxLength: 12 })
    .map((all) => all.join(""));
  fc.assert(fc.property(text, (each) => typeof parseMatchers("m", each).ok === "boolean"));
});

test("compileMatchers() means what Prometheus means by each operator, for every subject", () => {
  const text = fc.constantFrom("", "a", "ab", "x");
  const world = fc.record({
    rule: text,
    priority: fc.nat(7),
    source: text,
    output: text,
    tags: fc.array(text, { maxLength: 2 }),
    actor: text,
    cluster: text,
    labels: fc.record({ region: text }),
    fields: fc.record({ "ka.user.name": text }),
  });
  const one = fc.oneof(
    byPriority,
    fc.record({
      name: fc.constantFrom(
        "rule",
        "cluster",
        "region",
        "tag",
        "ka.user.name",
        "team",
        "output",
        "source",
        "actor",
      ),
      operator: fc.constantFrom("=" as const, "!=" as const, "=~" as const, "!~" as const),
      value: fc.constantFrom("", "a", "a|x", "a.*"),
    }),
  );
  fc.assert(
    fc.property(fc.array(one, { maxLength: 3 }), world, (given, alert) => {
      assert.equal(
        compileMatchers(given)(alert),
        given.every((each) => means(each, alert)),
      );
    }),
  );
});

/** The plainest possible reading, with JavaScript's own patterns. */
function means({ name: named, operator, value }: AlertMatcher, alert: AlertFacts): boolean {
  if (named === "priority") {
    const severity = -alert.priority;
    const wanted = -(priorityNumber(value) ?? 0);
    const holds = { "=": severity === wanted, "!=": severity !== wanted, ">=": severity >= wanted };
    return {
      ...holds,
      "<=": severity <= wanted,
      ">": severity > wanted,
      "<": severity < wanted,
      "=~": false,
      "!~": false,
    }[operator];
  }
  const values = valuesOf(subjectOf(named), alert);
  const equal = values.includes(value);
  const like = values.some((each) => new RegExp(`^(?:${value})$`, "s").test(each));
  return { "=": equal, "!=": !equal, "=~": like, "!~": !like }[operator as "=" | "!=" | "=~" | "!~"];
}

test("a pattern looks at the beginning of an endless text only, so that a test ends", () => {
  const long = { ...facts, output: `${"ab".repeat(50_000)}c` };
  assert.equal(compileMatchers(parsed('output=~"(a|b|ab)*c"'))(long), false);
});

function parsed(text: string): readonly AlertMatcher[] {
  const outcome = parseMatchers("matchers", text);
  assert.ok(outcome.ok, outcome.ok ? "" : JSON.stringify(outcome.refusal));
  return outcome.value;
}
