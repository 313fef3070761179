import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { RE2JS } from "re2js";
import { noise } from "./fixture.ts";
import { compileRegex, type Regex, regexLimits, StepsProblem, textLengthAlways } from "./regex.ts";

function compiled(pattern: string, limits = regexLimits): Regex {
  const outcome = compileRegex(pattern, limits);
  assert.ok(outcome.ok, outcome.ok ? "" : `${pattern}: ${outcome.message}`);
  return outcome.regex;
}

function matches(pattern: string, text: string): boolean | string {
  const outcome = compileRegex(pattern);
  return outcome.ok ? outcome.regex.test(text) : outcome.message;
}

const cases: readonly [string, string, boolean | string][] = [
  ["abc", "abc", true],
  ["abc", "xabcx", false],
  ["", "", true],
  ["", "a", false],
  ["a|", "", true],
  ["a.c", "a\nc", false],
  ["a[^x]c", "a\nc", true],
  ["a*?", "", true],
  ["a*?", "aaa", true],
  ["a**+?", "aaa", true],
  ["(a|b){2,3}", "aba", true],
  ["(a|b){2}{2}", "abab", true],
  ["(a|b){2}{2}", "ababa", false],
  ["a{,3}", "a{,3}", true],
  ["a{02}", "a{02}", true],
  ["[[:digit:]_]+", "12_3", true],
  ["[^[:space:]]+", "a b", false],
  ["[[:^alpha:]]+", "1é", true],
  ["[]a]+", "]a", true],
  ["[a-]+", "a-", true],
  ["a\\.b", "a.b", true],
  ["a\\.b", "axb", false],
  ["a\\_b", "a_b", true],
  ["\\x41\\x{e9}\\101\\x{00000041}", "AéAA", true],
  ["é.", "é😀", true],
  ["[😀-😂]", "😁", true],
  [".", "\ud83d", true],
  ["/api/.*", "/api/v1?x=1", true],
  // RE2's POSIX syntax looks at each line, not only at the whole text.
  ["^a$\n^b$", "a\nb", true],
  ["a^b", "ab", false],
  ["(a|\n|^b)*", "a\nb", true],
  ["(a|\n|^b)*", "ab", false],
  ["[ab\n]*$[^c]*", "ab\nab", true],
  ["a*$.*", "aab", false],
  ["a($|^)b?", "a", true],
  ["(^)*a", "a", true],
  ["(^|a){3}b", "aab", true],
  ["x(^|a){3}b", "xaab", false],
  ["x(^|a){3}b", "xaaab", true],
  ["\\w+", "a", "invalid escape sequence: \\w"],
  ["\\xg1", "a", "invalid escape sequence: \\xg1"],
  ["\\x{110000}", "a", "invalid escape sequence: \\x{110000"],
  ["\\é", "a", "invalid escape sequence: \\é"],
  ["(?:a)", "a", "no argument for repetition operator: ?"],
  ["a)", "a", "unexpected ): a)"],
  ["[a", "a", "missing ]: [a"],
  ["[z-a]", "a", "invalid character class range: z-a"],
  ["[a-b-c]", "a", "invalid character class range: -c"],
  ["[[:nope:]]", "a", "invalid character class range: [:nope:]"],
  ["[[:al^pha:]]", "a", "invalid character class range: [:al^pha:]"],
  ["a{1001}", "a", "invalid repetition size: {1001}"],
  ["(a{100}){11}", "a", "invalid repetition size: {11}"],
  ["((a{1000}){0}){2}", "a", "invalid repetition size: {2}"],
  ["a{2,1}", "a", "invalid repetition size: {2,1}"],
  ["a\\", "a", "trailing \\"],
  ["\\1", "a", "invalid escape sequence: \\1"],
  ["(".repeat(251) + ")".repeat(251), "", "expression nests too deeply"],
  ["a".repeat(16_385), "", "pattern too large: more than 16384 characters"],
  [`((^|$)${"^$(^|$)".repeat(2000)}a){1000}`, "", "pattern too large - compile failed"],
  ["[^\\x00-\\x{10ffff}]{1000}".repeat(600), "", "pattern too large - compile failed"],
  [`(${"^$".repeat(8000)}a){1000}`, "a", false],
  ["(ab{500}){2}".repeat(20), "", "pattern too large - compile failed"],
];
for (const [pattern, text, want] of cases) {
  const shown = [pattern, text].map((one) => JSON.stringify(one.slice(0, 50))).join(" on ");
  test(`regex ${shown} gives ${want}`, () => assert.equal(matches(pattern, text), want));
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
      if (outcome.ok) outcome.regex.test(input);
    }),
    { numRuns: 1000 },
  );
});

const operators = ["", "", "", "*", "+", "?", "{2}", "{0,2}", "{1,3}", "{2,}", "{0}"];
const characters = [...Array.from("abc.é😀"), "\\n", "[ab]", "[^a]", "[^b\\n]", "[[:space:]é-ü]"];
const repeated = fc
  .tuple(fc.constantFrom(...characters), fc.constantFrom(...operators, "{3}", "{0,6}", "{4,9}"))
  .map((parts) => parts.join(""));

/** Patterns that mean the same in RE2's POSIX and Perl syntax. */
const { pattern: patterns } = fc.letrec<{ pattern: string; piece: string }>((tie) => ({
  pattern: fc
    .array(fc.array(tie("piece"), { maxLength: 5 }), { minLength: 1, maxLength: 3 })
    .map((branches) => branches.map((pieces) => pieces.join("")).join("|")),
  piece: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    { weight: 4, arbitrary: repeated },
    { weight: 1, arbitrary: fc.constantFrom("^", "$", "(^)*", "($)?", "(^|$){2}") },
    {
      weight: 1,
      arbitrary: fc.tuple(tie("pattern"), fc.constantFrom(...operators)).map(([a, b]) => `(${a})${b}`),
    },
  ),
}));
const texts = fc.array(fc.string({ unit: fc.constantFrom(...Array.from("aabc\né😀")), maxLength: 12 }), {
  maxLength: 6,
});

/** So little room that states are forgotten all the time, and so few misses that they are hardly kept, or not at all. */
const ways: Readonly<Record<string, typeof regexLimits>> = {
  "from state to state": regexLimits,
  "in a table without room": { ...regexLimits, room: 20 },
  "in a table that is given up at once": { ...regexLimits, room: 20, misses: 0 },
  "without a table": { ...regexLimits, misses: -1 },
  "without a table, by the clock": { ...regexLimits, misses: -1, stretch: 2 },
  "in a table that is given up at once, by the clock": { ...regexLimits, misses: 0, stretch: 2 },
};

test("regex agrees with RE2, in whichever way a text is worked out", () => {
  fc.assert(
    fc.property(patterns, texts, (pattern, some) => {
      const oracle = RE2JS.compile(pattern, RE2JS.MULTILINE);
      const wanted = some.map((text) => oracle.testExact(text));
      for (const [way, limits] of Object.entries(ways)) {
        const outcome = compileRegex(pattern, limits);
        // Groups in groups may be more than is taken.
        if (!outcome.ok) return assert.match(outcome.message, /^pattern too large/);
        const found = some.map((text) => outcome.regex.test(text));
        assert.deepEqual(found, wanted, `${way} on ${JSON.stringify(some)}`);
      }
    }),
    { numRuns: 500 },
  );
});

test("regex agrees with RE2 on long noise, where it goes back and forth between its two ways", () => {
  for (const pattern of [".*a.{30}", "(.*b.{9}){3}", "([ab]|ab|é)*a[^a](a|b){40}", ".*(a|bb){20}b.{2,20}"]) {
    const [oracle, regex] = [RE2JS.compile(pattern, RE2JS.MULTILINE), compiled(pattern)];
    for (const seed of [1, 2]) {
      const text = noise(20_000, seed);
      assert.equal(regex.test(text), oracle.testExact(text), `${pattern} on noise of seed ${seed}`);
    }
  }
});

const length = 100_000;
const ab = noise(length, 7);
const isA = (fromEnd: number): boolean => ab.at(-fromEnd) === "a";
/** Each with what it must say, and the steps that one character may take: a word of 32 positions is one. */
const hard: readonly [string, string, boolean, number][] = [
  ["(a?){1000}", "a".repeat(1000), true, 1000],
  ["(a?){1000}", ab, false, 10],
  [".*a.{900}", ab, isA(901), 50],
  ["(x+x+)+y", "x".repeat(length), false, 2],
  ["(x+x+)+y", `${"x".repeat(length)}y`, true, 2],
  ["((a|b|ab)*c?){50}", ab, true, 2],
  ["((a|b|ab)*c?){50}", `${ab}${"c".repeat(50)}`, true, 5],
  ["((a|b|ab)*c?){50}", `${ab}${"c".repeat(51)}`, false, 5],
  [".*a[ab]{990}.{990}.{990}.{990}", ab, isA(3961), 150],
  [".*(a.{200}|b.{100})b.{800}", ab, (isA(1002) || !isA(902)) && !isA(801), 50],
  ["(a+)+b", "a".repeat(length), false, 2],
  ["(a|aa)+", "a".repeat(length), true, 2],
  ["(.*)(.*)(.*)(.*)(.*)c", ab, false, 2],
];
for (const [pattern, text, want, most] of hard) {
  test(`regex ${pattern} on ${text.length} characters is decided in ${most} steps for each`, () => {
    const regex = compiled(pattern);
    assert.equal(regex.test(text), want);
    assert.ok(
      regex.steps <= most * text.length,
      `${(regex.steps / text.length).toFixed(1)} steps a character`,
    );
  });
}

test("regex never takes more steps than it says, nor more than the limit on a text that is short enough", () => {
  const letters = noise(textLengthAlways, 3, "ab/é");
  fc.assert(
    fc.property(
      patterns,
      fc.integer({ min: 1, max: 300 }),
      fc.constantFrom(...Object.values(ways)),
      (part, times, limits) => {
        const outcome = compileRegex(`.*a(${part}){${times}}.{${times}}`, limits);
        if (!outcome.ok) return assert.match(outcome.message, /^(pattern too large|invalid repetition size)/);
        const { regex } = outcome;
        regex.test(letters);
        assert.ok(regex.steps <= regex.stepsAtWorst(letters.length));
        assert.ok(regex.stepsAtWorst(letters.length) <= regexLimits.steps);
      },
    ),
    { numRuns: 50 },
  );
});

test("regex gives up on a long text before it takes more steps than the limit, and works on afterwards", () => {
  const limits = { ...regexLimits, steps: 1_000_000 };
  const regex = compiled(".*a.{900}", limits);
  assert.throws(() => regex.test(ab), StepsProblem);
  assert.ok(regex.steps < 1.01 * limits.steps, `${regex.steps} steps`);
  assert.equal(regex.test(`a${"b".repeat(900)}`), true);
  assert.equal(regex.test("a".repeat(length)), true, "a text of few states is no work");
});

test("regex takes patterns as large as rules have them", () => {
  const names = Array.from({ length: 1000 }, (_, i) => `tool-${(i * 7919).toString(36)}`);
  const regex = compiled(`.*(${names.join("|")}).*`);
  assert.equal(regex.test(`/usr/bin/${names[500]} --help`), true);
  assert.equal(regex.test("/usr/bin/tool- --help"), false);
  assert.equal(compiled("x".repeat(16_384)).test("x".repeat(16_384)), true);
  assert.equal(compiled("[a-z0-9]{1,1000}/.{0,1000}").test(`${"a1".repeat(400)}/${"😀".repeat(1000)}`), true);
});
