import assert from "node:assert/strict";
import { test } from "node:test";

import { judgePattern, patternLettersMax } from "./pattern.ts";

test("a pattern that unrolls into millions is refused before it is compiled, and those that people write are not", () => {
  const kinds: readonly (readonly [string, string])[] = [
    ["system:serviceaccount:(kube-system|payments):.*", "fits"],
    [String.raw`^\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}$`, "fits"],
    ["[a-f0-9]{64}", "fits"],
    [String.raw`\{100000\}[{900}]{3}`, "fits"],
    ["a{1000}", "large"],
    ["((((a{99}){99}){99}){99}){99}", "large"],
    ["(?:(?:[ab]{2,50}){0,50}){50,}", "large"],
    ["(a", "broken"],
    ["a)", "broken"],
    ["a".repeat(patternLettersMax + 1), "long"],
  ];
  assert.deepEqual(
    kinds.map(([pattern]) => [pattern, judgePattern(pattern).kind]),
    kinds,
  );
});
