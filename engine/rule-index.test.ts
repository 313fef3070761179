import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { Expression } from "./ast.ts";
import { compileCondition, Slots } from "./compile.ts";
import { createDetector } from "./detector.ts";
import { JsonTape } from "./json/tape.ts";
import { LiveEvent } from "./live-event.ts";
import { loadRules } from "./load.ts";

const field = fc.constantFrom("ka.verb", "ka.stage", "ka.target.resource", "ka.uri");
const value = fc.constantFrom("a", "b", "c");
const check = fc.oneof(
  fc
    .tuple(field, fc.constantFrom("=", "!=", "startswith", "icontains", "glob", "regex", "endswith"), value)
    .map((parts) => parts.join(" ")),
  fc
    .tuple(field, fc.array(value, { maxLength: 3 }))
    .map(([name, values]) => `${name} in (${values.join(", ")})`),
  fc
    .tuple(field, fc.constantFrom("in", "intersects"), value)
    .map(([name, word, one]) => `${name} ${word} (${one}, b)`),
  fc.constantFrom(
    "ka.verb = val(ka.stage)",
    "ka.user.groups intersects (a, b)",
    "ka.user.groups in (a)",
    "ka.uri contains anyof (a, b)",
  ),
  field.map((name) => `${name} exists`),
);
const { condition } = fc.letrec<{ condition: string }>((tie) => ({
  condition: fc.oneof(
    { maxDepth: 3 },
    check,
    tie("condition").map((inner) => `not (${inner})`),
    fc
      .tuple(fc.constantFrom(" and ", " or "), fc.array(tie("condition"), { minLength: 2, maxLength: 3 }))
      .map(([word, parts]) => parts.map((part) => `(${part})`).join(word)),
  ),
}));
const event = fc
  .record(
    {
      verb: value,
      stage: value,
      requestURI: value,
      objectRef: fc.record({ resource: value }),
      user: fc.record({ groups: fc.array(value) }),
    },
    { requiredKeys: [] },
  )
  .map((parts) =>
    JSON.stringify({ kind: "Event", auditID: "1", stageTimestamp: "2024-01-02T03:04:05Z", ...parts }),
  );

function rulesFor(conditions: readonly string[]) {
  const items = conditions.map((text, i) => {
    return { rule: `${i}`, desc: "d", condition: text, output: "o", priority: "INFO", source: "k8s_audit" };
  });
  const report = loadRules([{ name: "r", content: JSON.stringify(items) }]);
  assert.ok(report.ok, JSON.stringify(report.results));
  return report.ruleset;
}

/** What a condition means when its parts are simply tried as they are written, without an index. */
function means(condition: Expression): (line: string) => boolean {
  const tape = new JsonTape();
  const event = new LiveEvent(tape, { hostname: "h", utcOffsetSeconds: 0 });
  const matches = compileCondition(condition, new Slots(), "fixed");
  const frame = { event, stamp: 0, values: [], stamps: [] };
  return (line) => {
    event.take(tape, tape.parse(line), 0n);
    frame.stamp++;
    return matches(frame);
  };
}

test("many rules together find exactly what each one means, in order", () => {
  fc.assert(
    fc.property(
      fc.array(condition, { minLength: 1, maxLength: 12 }),
      fc.array(event, { maxLength: 6 }),
      (all, lines) => {
        const rules = rulesFor(all);
        const together = createDetector(rules, { hostname: "h", ruleMatching: "all" });
        const first = createDetector(rules, { hostname: "h", ruleMatching: "first" });
        const alone = rules.compiled.map((rule) => means(rule.condition));
        for (const line of lines) {
          const want = alone.flatMap((holds, i) => (holds(line) ? [`${i}`] : []));
          const bytes = Buffer.from(line);
          for (const [detector, expected] of [
            [together, want],
            [first, want.slice(0, 1)],
          ] as const) {
            for (const { alerts } of [detector.detect(line), detector.detectBytes(bytes, 0, bytes.length)]) {
              assert.deepEqual(
                alerts.map(({ rule }) => rule),
                expected,
              );
            }
          }
        }
      },
    ),
    { numRuns: 1000 },
  );
});
