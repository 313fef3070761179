import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { renderOutcome, type ShownExplanation } from "./explanation.ts";
import { renderJunit } from "./junit.ts";
import { renderComparison } from "./rules-diff.ts";
import { diffWords } from "./word-diff.ts";

test("renderJunit() writes XML that CI can read, whatever stands in a name or a failure", () => {
  const report = renderJunit([
    { suite: "a.yaml", name: 'x < "y" & z', failures: [], seconds: 0.25 },
    { suite: "a.yaml", name: "b", failures: ["first <line>\nsecond\u0000"], seconds: 0 },
  ]);
  const expected = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="fleetctl rules test" tests="2" failures="1" errors="0" time="0.250">
  <testsuite name="a.yaml" tests="2" failures="1" errors="0" time="0.250">
    <testcase classname="a.yaml" name="x &lt; &quot;y&quot; &amp; z" time="0.250"/>
    <testcase classname="a.yaml" name="b" time="0.000">
      <failure message="first &lt;line&gt;">first &lt;line&gt;
second?</failure>
    </testcase>
  </testsuite>
</testsuites>
`;
  assert.equal(report, expected);
});

test("diffWords() tells only the words that differ, each with what stands before it", () => {
  assert.deepEqual(diffWords("a b c d e", "a b x d e f"), [
    { context: "a b", before: "c", after: "x" },
    { context: "b c d e", before: "", after: "f" },
  ]);
});

test("diffWords() loses no word: taking its hunks out leaves the same words on both sides", () => {
  const words = fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 12 }).map((list) => list.join(" "));
  const count = (text: string) => text.split(" ").filter((word) => word !== "").length;
  fc.assert(
    fc.property(words, words, (before, after) => {
      const hunks = diffWords(before, after);
      const gone = hunks.reduce((sum, hunk) => sum + count(hunk.before), 0);
      const come = hunks.reduce((sum, hunk) => sum + count(hunk.after), 0);
      assert.equal(count(before) - gone, count(after) - come);
      assert.equal(hunks.length === 0, before === after);
    }),
  );
});

const rule = { name: "Mine", enabled: true, source: "k8s_audit" };
const condition: ShownExplanation["condition"] = {
  kind: "check",
  text: "a",
  macros: [],
  verdict: true,
  reached: true,
  decisive: true,
  values: [],
  parts: [],
};
const outcomes: readonly (readonly [string, ShownExplanation, RegExp])[] = [
  ["alerts", { rule, verdict: true, matching: ["Mine"], alerting: ["Mine"], condition }, /raises an alert/],
  [
    "comes second",
    { rule, verdict: true, matching: ["Other", "Mine"], alerting: ["Other"], condition },
    /matches, but "Other" stands before it/,
  ],
  [
    "is disabled",
    { rule: { ...rule, enabled: false }, verdict: true, matching: [], alerting: [], condition },
    /but it is disabled/,
  ],
  [
    "does not match",
    { rule, verdict: false, matching: ["Other"], alerting: ["Other"], condition },
    /does not match\. The event raises "Other"\.$/,
  ],
];
for (const [what, explanation, words] of outcomes) {
  test(`renderOutcome() says in a sentence that a rule ${what}`, () => {
    assert.match(renderOutcome(explanation), words);
  });
}

test("renderComparison() tells rules that changed alike together, and shows long conditions only where they differ", () => {
  const before = `${"ka.verb = get or ".repeat(60)}end`;
  const changes = [{ what: "condition", before, after: `${before} more` }];
  const lines = renderComparison({
    added: ["New"],
    removed: [],
    disabled: [],
    enabled: [],
    changed: [
      { name: "A", changes, exceptions: [] },
      { name: "B", changes, exceptions: [] },
    ],
    reordered: false,
  });
  assert.deepEqual(lines, [
    "+ New",
    "~ A",
    "~ B",
    "  condition:",
    "      … = get or end",
    "    + more",
    "1 rule added, 0 removed, 2 changed",
  ]);
});
