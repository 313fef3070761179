import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { compileRegex } from "./posix-regex.ts";

function matches(pattern: string, text: string): boolean | string {
  const outcome = compileRegex(pattern);
  return outcome.ok ? outcome.test(text) : outcome.message;
}

const cases: readonly [string, string, boolean | string][] = [
  ["abc", "abc", true],
  ["abc", "xabcx", false],
  ["a.c", "a\nc", false],
  ["a[^x]c", "a\nc", true],
  ["a*?", "", true],
  ["a*?", "aaa", true],
  ["a**+?", "aaa", true],
  ["(a|b){2,3}", "aba", true],
  ["(a|b){2}{2}", "abab", true],
  ["a{,3}", "a{,3}", true],
  ["[[:digit:]_]+", "12_3", true],
  ["[^[:space:]]+", "a b", false],
  ["[]a]+", "]a", true],
  ["[a-]+", "a-", true],
  ["a\\.b", "a.b", true],
  ["a\\.b", "axb", false],
  ["\\x41\\x{e9}\\101", "AéA", true],
  ["^a$\n^b$", "a\nb", true],
  ["é.", "é😀", true],
  ["/api/.*", "/api/v1?x=1", true],
  ["\\w+", "a", "invalid escape sequence: \\w"],
  ["(?:a)", "a", "no argument for repetition operator: ?"],
  ["a)", "a", "unexpected ): a)"],
  ["[a", "a", "missing ]: [a"],
  ["[z-a]", "a", "invalid character class range: z-a"],
  ["[[:nope:]]", "a", "invalid character class range: [:nope:]"],
  ["a{1001}", "a", "invalid repetition size: {1001}"],
  ["a\\", "a", "trailing \\"],
  ["\\1", "a", "invalid escape sequence: \\1"],
];
for (const [pattern, text, want] of cases) {
  test(`regex ${JSON.stringify(pattern)} on ${JSON.stringify(text)} gives ${want}`, () =>
    assert.equal(matches(pattern, text), want));
}

test("compileRegex() never throws, whatever the pattern", () => {
  const pieces = fc.constantFrom(
    ..."()[]{}*+?|^$.\\-:,1239aébx".split(""),
    "[:alpha:]",
    "{2,3}",
    "(?",
    "\\x{",
  );
  const pattern = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(pieces, { maxLength: 20 }).map((parts) => parts.join("")),
  );
  fc.assert(
    fc.property(pattern, fc.string(), (text, input) => {
      const outcome = compileRegex(text);
      if (outcome.ok) outcome.test(input);
    }),
    { numRuns: 1000 },
  );
});

test("compileRegex() agrees with a backtracking engine on plain patterns", () => {
  const atom = fc.constantFrom("a", "b", ".", "[ab]", "[^a]", "(a|b)", "(ab|b)");
  const piece = fc.tuple(atom, fc.constantFrom("", "*", "+", "?", "{1,2}")).map((parts) => parts.join(""));
  const pattern = fc.array(piece, { maxLength: 6 }).map((parts) => parts.join(""));
  fc.assert(
    fc.property(pattern, fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 8 }), (text, input) => {
      assert.equal(matches(text, input), new RegExp(`^(?:${text})$`).test(input));
    }),
    { numRuns: 1000 },
  );
});

test("compileRegex() stays quick where backtracking would take years", () => {
  assert.equal(matches("(a+)+b", "a".repeat(50_000)), false);
});
