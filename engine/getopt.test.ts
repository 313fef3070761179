import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { findOptions } from "./getopt.ts";
import { loadRules } from "./load.ts";

const cases: readonly [readonly string[], string, readonly string[]][] = [
  [["-n", "x"], "n", ["n"]],
  [["-t", "hello"], "t:", ["t", "hello"]],
  [["-thello"], "t:", ["t", "hello"]],
  [["-nt", "hello"], "nt:", ["n", "t", "hello"]],
  [["-n", "--", "-t"], "nt:", ["n"]],
  [["-x", "-n"], "n", ["?", "n"]],
  [["--exec", "-n"], "n", ["n"]],
  [["word", "-n"], "n", []],
  [["-", "-n"], "n", []],
  [["-n", "", "-n"], "n", ["n"]],
  [["-t"], "t:", [""]],
  [["-lpe", "/bin/sh"], "lpe:", ["l", "p", "e", "/bin/sh"]],
  [["-n:"], ":n", ["n", "?"]],
  [["-t", "--"], "t:", ["t", "--"]],
  [[], "n", []],
];
for (const [args, options, want] of cases) {
  test(`getopt finds ${JSON.stringify(want)} in "${args.join(" ")}" with "${options}"`, () => {
    assert.deepEqual(findOptions(args, options), want);
  });
}

test("with an option in brackets getopt gives the last value of that one alone", () => {
  const args = ["-n", "-t", "a", "-t", "b"];
  assert.equal(findOptions(args, "nt:", "t"), "b");
  assert.equal(findOptions(args, "nt:", "n"), "n");
  assert.equal(findOptions(args, "nt:", "x"), undefined);
  assert.equal(findOptions(["-t"], "t:", "t"), "");
});

test("getopt gives nothing for a missing list, and never throws", () => {
  assert.equal(findOptions(undefined, "n"), undefined);
  const word = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("-", "--", "-n", "-t", "-nt", ":"));
  fc.assert(
    fc.property(fc.array(word), word, fc.option(word, { nil: undefined }), (args, options, selector) => {
      const found = findOptions(args, options, selector);
      assert.ok(selector === undefined ? found === undefined || Array.isArray(found) : !Array.isArray(found));
    }),
  );
});

function problem(condition: string): string | undefined {
  const rule = { rule: "r", desc: "d", condition, output: "o", priority: "INFO", source: "k8s_audit" };
  const { results } = loadRules([{ name: "r", content: JSON.stringify([rule]) }]);
  return results[0]?.errors[0]?.message;
}

test("getopt is checked like any transformer: two arguments, a list first, one letter in brackets", () => {
  assert.equal(problem('getopt(ka.user.groups, "n") intersects (n)'), undefined);
  assert.equal(problem('getopt(("-n", "x"), "n")[n] = n'), undefined);
  assert.match(
    problem("getopt(ka.user.groups) intersects (n)") ?? "",
    /'getopt' takes a list of arguments and the text/,
  );
  assert.match(
    problem('getopt(ka.verb, "n") intersects (n)') ?? "",
    /'getopt' does not take 'ka.verb' of type 'CHARBUF'/,
  );
  assert.match(problem('getopt(ka.user.groups, "n")[no] = n') ?? "", /one option letter in brackets/);
  assert.match(problem('getopt(ka.user.groups, "n") = n') ?? "", /not supported list filters/);
  assert.match(problem('getopt(ka.user.groups, "n")[n] in (val(ka.verb))') ?? "", /expected a '\)' token/);
  assert.match(problem("tolower(ka.verb)[x] = n") ?? "", /'tolower' takes no argument in brackets/);
});
