import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { createDetector } from "./detector.ts";
import { loadRules } from "./load.ts";

const field = fc.constantFrom("ka.verb", "ka.stage", "ka.target.resource", "ka.uri");
const value = fc.constantFrom("a", "b", "c");
const check = fc.oneof(
  fc.tuple(field, fc.constantFrom("=", "!=", "startswith"), value).map((parts) => parts.join(" ")),
  fc
    .tuple(field, fc.array(value, { maxLength: 3 }))
    .map(([name, values]) => `${name} in (${values.join(", ")})`),
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
    { verb: value, stage: value, requestURI: value, objectRef: fc.record({ resource: value }) },
    { requiredKeys: [] },
  )
  .map((parts) =>
    JSON.stringify({ kind: "Event", auditID: "1", stageTimestamp: "2024-01-02T03:04:05Z", ...parts }),
  );

function rulesFor(conditions: readonly string[]) {
  const items = conditions.map((text, i) => {
    return { rule: `${i}`, desc: "d", condition: text, output: "o", priority: "INFO", source: "k8s_audit" };
  });
  return loadRules([{ name: "r", content: JSON.stringify(items) }]).ruleset;
}

test("many rules together find exactly what each one finds alone, in order", () => {
  fc.assert(
    fc.property(
      fc.array(condition, { minLength: 4, maxLength: 12 }),
      fc.array(event, { maxLength: 6 }),
      (all, lines) => {
        const together = createDetector(rulesFor(all), { hostname: "h", ruleMatching: "all" });
        const alone = all.map((one) => createDetector(rulesFor([one]), { hostname: "h" }));
        for (const line of lines) {
          const want = alone.flatMap((one, i) => (one.detect(line).alerts.length > 0 ? [`${i}`] : []));
          assert.deepEqual(
            together.detect(line).alerts.map(({ rule }) => rule),
            want,
          );
        }
      },
    ),
    { numRuns: 300 },
  );
});
