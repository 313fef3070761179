import assert from "node:assert/strict";
import { test } from "node:test";
import { renderRuleTests } from "./rule-tests.ts";

const passed = { file: "t.yaml", name: "a", failures: [], notes: [] };

test("renderRuleTests() puts notes below their failure, then those of tests that passed, and the counts last", () => {
  assert.deepEqual(
    renderRuleTests([
      passed,
      { ...passed, line: 7, name: "b", notes: ["an unknown key"] },
      {
        ...passed,
        line: 9,
        name: "c",
        failures: ["no alert says x; they say:\n  one"],
        notes: ["one event"],
      },
    ]),
    [
      "FAILED t.yaml:9: c",
      "  no alert says x; they say:",
      "    one",
      "  note: one event",
      "NOTE t.yaml:7: b",
      "  an unknown key",
      "2 passed, 1 failed",
    ],
  );
});

test("renderRuleTests() cannot be made to steer the terminal by what stands in an event", () => {
  const [, line] = renderRuleTests([{ ...passed, failures: ["they say \u001b[2Jgone"] }]);
  assert.equal(line, "  they say \\u001b[2Jgone");
});

test("renderRuleTests() does not bury the counts under thousands of notes", () => {
  const noted = Array.from({ length: 5000 }, (_, line) => ({ ...passed, line, notes: ["n"] }));
  const lines = renderRuleTests(noted);
  assert.ok(lines.length < 100);
  assert.deepEqual(lines.slice(-2), [
    "NOTE 4980 more tests that passed have notes: -o json shows all",
    "5000 passed, 0 failed",
  ]);
});
