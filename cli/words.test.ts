import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDuration } from "./duration.ts";
import { nearest } from "./nearest.ts";

const commands = ["cluster list", "cluster show", "rollout list", "rollout rules", "token create", "login"];
const slips: [typed: string, first: string | undefined][] = [
  ["cluster lst", "cluster list"],
  ["clusters list", "cluster list"],
  ["list cluster", "cluster list"],
  ["rollout list eu", "rollout list"],
  ["rollout rule", "rollout rules"],
  ["logn", "login"],
  ["frobnicate", undefined],
];
for (const [typed, first] of slips) {
  test(`nearest() thinks of ${first ?? "nothing"} for "${typed}"`, () => {
    assert.equal(nearest(typed, commands)[0], first);
  });
}

test("parseDuration() reads whole units and refuses everything else", () => {
  const cases: [string, number | undefined][] = [
    ["90s", 90],
    ["10m", 600],
    ["1h30m", 5400],
    ["7d", 604_800],
    ["2w", 1_209_600],
    ["0s", 0],
    ["10", undefined],
    ["1.5h", undefined],
    ["-1s", undefined],
    ["1h 30m", undefined],
    ["", undefined],
    ["9999999w", undefined],
  ];
  for (const [text, seconds] of cases) assert.equal(parseDuration(text), seconds, text);
});
