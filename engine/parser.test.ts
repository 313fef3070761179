import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { canonical } from "./canonical.ts";
import { nestingMax, parseCondition, parseTransformerAt } from "./parser.ts";

function read(text: string): string {
  const outcome = parseCondition(text);
  return outcome.ok ? canonical(outcome.expression) : `error at ${outcome.at}: ${outcome.message}`;
}

const cases: readonly [string, string][] = [
  ["a.b = 1 or a.b = 2 and a.c = 3", "(a.b = 1 or (a.b = 2 and a.c = 3))"],
  ["not a.b = 1 and c", "(not a.b = 1 and c)"],
  ["not not a", "a"],
  ["not(a) and not (b)", "(not a and not b)"],
  ["notable and nothing", "(notable and nothing)"],
  ["a.b existsand c", "(a.b exists and c)"],
  ["a.b in(x) or inside", "(a.b in (x) or inside)"],
  ["a.b inabc", "a.b in (abc)"],
  ["x or (y) and z", "(x or (y and z))"],
  ["a.b = oneof", "a.b = oneof"],
  ["a.b = oneof and c", "(a.b = oneof and c)"],
  ["a.b = anyof (x, y)", "a.b = anyof (x, y)"],
  ["a.b = 'it\\'s' or a.b = \"\\ x\"", '(a.b = "it\'s" or a.b = "\\\\x")'],
  ["tolower( a.b[k] ) = val( a.c )", "tolower(a.b[k]) = val(a.c)"],
  ["join(',', (a.b, toupper(a.c))) = x", 'join(",", (a.b, toupper(a.c))) = x'],
  ["\n a.b\t=\n1 \r\n", "a.b = 1"],
];
for (const [text, want] of cases) {
  test(`parseCondition() reads ${JSON.stringify(text)} as ${want}`, () => assert.equal(read(text), want));
}

test("parseCondition() points at the place where the text goes wrong", () => {
  assert.equal(read("a.b = 1 andb"), "error at 11: expected blank or '(' after 'and'");
  assert.equal(read(""), "error at 0: filter input string is empty");
});

test("parseCondition() refuses text that nests too deeply instead of overflowing", () => {
  for (const [open, close] of [
    ["(", ")"],
    ["not(", ")"],
  ] as const) {
    const deep = `${open.repeat(100_000)}a${close.repeat(100_000)}`;
    assert.match(read(deep), /exceeded max depth limit of 250/);
    const fine = `${open.repeat(nestingMax - 1)}a${close.repeat(nestingMax - 1)}`;
    assert.match(read(fine), /^(?:not )*a$/);
  }
});

const words = [
  ..."()[],'\"\\ \n=!<>".split(""),
  "and",
  "or",
  "not",
  "a.b",
  "ka.verb",
  "in",
  "exists",
  "pmatch",
  "startswith ",
  "oneof ",
  "val(",
  "tolower(",
  "join(",
  "0x1",
  "12",
  "m",
];
const anyText = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.array(fc.constantFrom(...words), { maxLength: 40 }).map((parts) => parts.join("")),
);

test("parseCondition() never throws, whatever the text", () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const outcome = parseCondition(text);
      assert.ok(outcome.ok || (outcome.at >= 0 && outcome.at <= text.length));
      parseTransformerAt(text, 0);
    }),
    { numRuns: 1000 },
  );
});

test("canonical() is read back as the same condition", () => {
  const value = fc.string({ unit: "grapheme", maxLength: 8 }).filter((text) => !/[(),]/.test(text));
  const name = fc.constantFrom("ka.verb", "ka.uri.param[k]", "tolower(ka.verb)");
  const quoted = value.map((text) => `"${text.replaceAll(/["\\]/g, "\\$&")}x"`);
  const check = fc.oneof(
    fc.tuple(name, fc.constantFrom("=", "!=", "contains", "glob"), quoted).map((parts) => parts.join(" ")),
    fc.tuple(name, fc.array(quoted)).map(([field, list]) => `${field} in (${list.join(", ")})`),
    fc.constantFrom("macro_one", "ka.verb exists"),
  );
  const { expression } = fc.letrec<{ expression: string }>((tie) => ({
    expression: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      check,
      tie("expression").map((inner) => `not (${inner})`),
      fc
        .tuple(fc.constantFrom("and", "or"), fc.array(tie("expression"), { minLength: 2, maxLength: 4 }))
        .map(([word, parts]) => parts.map((part) => `(${part})`).join(` ${word} `)),
    ),
  }));
  fc.assert(
    fc.property(expression, (text) => {
      const once = read(text);
      assert.doesNotMatch(once, /^error/);
      // The text of a double negation means nothing twice.
      assert.equal(read(once), once.replaceAll("not not ", ""));
    }),
    { numRuns: 500 },
  );
});
