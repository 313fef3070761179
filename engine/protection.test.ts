import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { Expression } from "./ast.ts";
import { implies } from "./implies.ts";
import { loadRules } from "./load.ts";
import { lossesOf, protectedTag } from "./protection.ts";
import type { RuleSet } from "./ruleset.ts";

function load(...contents: readonly string[]): RuleSet {
  const report = loadRules(contents.map((content, i) => ({ name: `${i}.yaml`, content })));
  assert.ok(report.ok, JSON.stringify(report.results));
  return report.ruleset;
}

interface Parts {
  readonly name?: string;
  readonly condition: string;
  readonly priority?: string;
  readonly tags?: readonly string[];
  readonly more?: Readonly<Record<string, unknown>>;
}

function rule({ name = "r", condition, priority = "WARNING", tags = [protectedTag], more = {} }: Parts) {
  const whole = { rule: name, desc: "d", condition, output: "o", priority, source: "k8s_audit", tags };
  return `- ${JSON.stringify({ ...whole, ...more })}\n`;
}

function conditionOf(text: string): Expression {
  const [only] = load(rule({ condition: text })).compiled;
  assert.ok(only);
  return only.condition;
}

const base = "ka.verb in (create, update) and not ka.user.name in (a, b)";
const cases: readonly (readonly [before: string, after: string, still: boolean])[] = [
  [base, base, true],
  [base, "ka.verb in (create, update, patch) and not ka.user.name in (a, b)", true],
  [base, "ka.verb in (create) and not ka.user.name in (a, b)", false],
  [base, "ka.verb in (create, update) and not ka.user.name in (a)", true],
  [base, "ka.verb in (create, update) and not ka.user.name in (a, b, evil)", false],
  [base, "ka.verb in (create, update)", true],
  [base, `${base} and ka.target.name = x`, false],
  [base, `(${base}) or ka.verb = delete`, true],
  ["ka.verb = get or ka.verb = list", "ka.verb = get", false],
  ["ka.verb = get", "ka.verb = list or ka.verb = get", true],
  ["ka.verb = get", "ka.verb = GET", false],
  ["ka.verb = get", "ka.verb != list", false],
  ["not (ka.verb = get or ka.verb = list)", "not ka.verb = get", true],
  ["not ka.verb = get", "not (ka.verb = get or ka.verb = list)", false],
  ["ka.verb = get", "ka.verb = get and ka.verb exists", false],
];
for (const [before, after, still] of cases) {
  test(`implies() says ${still ? "yes" : "no"} from "${before}" to "${after}"`, () => {
    assert.equal(implies(conditionOf(before), conditionOf(after)), still);
  });
}

const letters = ["a", "b", "c"];
const atom = fc.constantFrom(...letters).map((name) => `ka.user.name in (${name})`);
const { formula } = fc.letrec<{ formula: string }>((tie) => ({
  formula: fc.oneof(
    { maxDepth: 3 },
    atom,
    fc.tuple(tie("formula"), tie("formula")).map(([a, b]) => `(${a} and ${b})`),
    fc.tuple(tie("formula"), tie("formula")).map(([a, b]) => `(${a} or ${b})`),
    tie("formula").map((a) => `(not ${a})`),
  ),
}));

/** As a person would work it out, for a user of some name. */
function holds(condition: Expression, user: string): boolean {
  switch (condition.kind) {
    case "and":
      return condition.parts.every((part) => holds(part, user));
    case "or":
      return condition.parts.some((part) => holds(part, user));
    case "not":
      return !holds(condition.part, user);
    case "check":
      return condition.right?.kind === "list" && condition.right.values.includes(user);
    case "identifier":
      throw new Error("a macro is left");
  }
}

test("implies() never says yes where an event would get lost, whatever the conditions", () => {
  fc.assert(
    fc.property(formula, formula, (a, b) => {
      const [before, after] = [conditionOf(a), conditionOf(b)];
      assert.ok(implies(before, before));
      if (!implies(before, after)) return;
      for (const user of [...letters, "other"]) assert.ok(!holds(before, user) || holds(after, user));
    }),
    { numRuns: 80 },
  );
});

test("implies() gives up on conditions that would take for ever, and that is a no", () => {
  const wide = (from: number) =>
    Array.from({ length: 900 }, (_, i) => `ka.user.name = u${from + i}`).join(" or ");
  assert.equal(implies(conditionOf(wide(0)), conditionOf(wide(1))), false);
});

const isProtected = ({ tags }: { readonly tags: readonly string[] }): boolean => tags.includes(protectedTag);
const before = load(
  rule({ condition: base }) + rule({ name: "other", condition: "ka.verb = get", tags: [] }),
);
const kept = rule({ condition: base });
const losses: readonly (readonly [string, readonly string[], RegExp | undefined])[] = [
  ["the same", [kept], undefined],
  [
    "an unprotected rule less and another behind",
    [kept + rule({ name: "z", condition: "ka.verb = get" })],
    undefined,
  ],
  ["more urgent", [rule({ condition: base, priority: "CRITICAL" })], undefined],
  ["removed", [rule({ name: "else", condition: base })], /is removed/],
  ["disabled where it stands", [rule({ condition: base, more: { enabled: false } })], /is disabled/],
  [
    "disabled by a layer",
    [kept, "- rule: r\n  enabled: false\n  override: {enabled: replace}\n"],
    /is disabled/,
  ],
  [
    "an exception",
    [kept, "- rule: r\n  append: true\n  condition: and not ka.user.name = evil\n"],
    /may match less/,
  ],
  ["never", [rule({ condition: "ka.verb = never" })], /may match less/],
  ["less urgent", [rule({ condition: base, priority: "DEBUG" })], /no longer Warning, but Debug/],
  ["no tag", [rule({ condition: base, tags: [] })], /loses its tag/],
  [
    "another rule ahead",
    [rule({ name: "first", condition: "ka.verb exists" }) + kept],
    /comes after "first"/,
  ],
];
for (const [what, files, why] of losses) {
  test(`a protected rule ${why === undefined ? "may be" : "is not quietly"}: ${what}`, () => {
    const found = lossesOf(before, load(...files), isProtected);
    if (why === undefined) assert.deepEqual(found, []);
    else assert.match(found.map((loss) => `${loss.rule} ${loss.why}`).join(), why);
  });
}
