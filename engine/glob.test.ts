import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { compileGlob } from "./glob.ts";
import { compilePathMatch } from "./path-match.ts";

const cases: readonly [string, string, boolean][] = [
  ["*", "", true],
  ["/api/*", "/api/v1/pods", true],
  ["*.go", ".go", true],
  ["?", "ä", false],
  ["??", "ä", true],
  ["[ä]", "ä", false],
  ["[ä][ä]", "ä", true],
  ["a?c", "ac", false],
  ["[a-c]x", "bx", true],
  ["[!a-c]x", "bx", false],
  ["[]]", "]", true],
  ["[[:digit:]]*", "7up", true],
  ["[[:graph:]][[:print:]]", "a ", true],
  ["[[:cntrl:]]", "\t", true],
  ["[[:graph:]]", " ", false],
  ["[a[:nope:]]", "a", true],
  ["[a[:nope:]]", "b", false],
  ["[!a[:nope:]]", "b", false],
  ["[[=a=]b]", "a", true],
  ["[[.a.]-c]", "b", true],
  ["[[.-.]]", "-", true],
  ["[[.ab.]]", "a", false],
  ["[a-\\c]", "b", true],
  ["[a", "[a", true],
  ["[a-", "[a-", false],
  ["a\\*", "a*", true],
  ["a\\*", "ab", false],
  ["a\\", "a\\", false],
  ["*a*b*c", "xxaxxbxxc", true],
  ["*a*b*c", "xxaxxbxx", false],
];
for (const [pattern, text, want] of cases) {
  test(`glob ${pattern} ${want ? "matches" : "does not match"} ${JSON.stringify(text)}`, () =>
    assert.equal(compileGlob(pattern, false)(text), want));
}

test("iglob ignores the case of ASCII letters alone", () => {
  assert.equal(compileGlob("AB[C-D]*", true)("abdX"), true);
  assert.equal(compileGlob("É", true)("é"), false);
});

test("a class asks for the letter as it stands, whatever the case that is compared", () => {
  assert.equal(compileGlob("[[:upper:]]", true)("a"), false);
  assert.equal(compileGlob("[[:upper:]]", true)("A"), true);
});

test("compileGlob() agrees with a backtracking engine on stars and question marks", () => {
  const pattern = fc.string({ unit: fc.constantFrom("a", "b", "*", "?"), maxLength: 8 });
  fc.assert(
    fc.property(pattern, fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 8 }), (glob, text) => {
      const regex = new RegExp(`^${glob.replaceAll("?", ".").replaceAll("*", ".*")}$`);
      assert.equal(compileGlob(glob, false)(text), regex.test(text));
    }),
    { numRuns: 1000 },
  );
});

test("compileGlob() never throws, whatever the pattern", () => {
  const pattern = fc.string({ unit: fc.constantFrom(..."[]!^-\\*?a:".split("")), maxLength: 16 });
  fc.assert(fc.property(pattern, fc.string(), (glob, text) => void compileGlob(glob, true)(text)));
});

const paths: readonly [readonly string[], string, boolean][] = [
  [["/etc"], "/etc/passwd", true],
  [["/etc"], "/etcd", false],
  [["etc//"], "/etc", true],
  [["/"], "/anything", true],
  [["/a*/v1"], "/api/v1/pods", true],
  [["/a*"], "/b/a", false],
  [["/x", "/y"], "/y/z", true],
  [[], "/y", false],
];
for (const [wanted, path, want] of paths) {
  test(`pmatch (${wanted.join(", ")}) ${want ? "matches" : "does not match"} ${path}`, () =>
    assert.equal(compilePathMatch(wanted)(path), want));
}
