import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { Requirement_Operator as Operator } from "#proto/fleet/v1/common";
import { parseSelector, renderSelector, selectorOf } from "./selector.ts";

type Case = [text: string, ...requirements: [key: string, operator: Operator, values: string[]][]];
const readable: Case[] = [
  [""],
  ["  "],
  ["region=eu", ["region", Operator.IN, ["eu"]]],
  ["region == eu", ["region", Operator.IN, ["eu"]]],
  ["team!=payments", ["team", Operator.NOT_IN, ["payments"]]],
  ["region in (eu,us)", ["region", Operator.IN, ["eu", "us"]]],
  ["region in(eu)", ["region", Operator.IN, ["eu"]]],
  ["region notin ( eu , us )", ["region", Operator.NOT_IN, ["eu", "us"]]],
  ["canary", ["canary", Operator.EXISTS, []]],
  ["! canary", ["canary", Operator.NOT_EXISTS, []]],
  ["internal", ["internal", Operator.EXISTS, []]],
  ["in in (in)", ["in", Operator.IN, ["in"]]],
  ["example.com/tier=1", ["example.com/tier", Operator.IN, ["1"]]],
  [
    "region=eu,team!=a , !canary,env in (p,s)",
    ["region", Operator.IN, ["eu"]],
    ["team", Operator.NOT_IN, ["a"]],
    ["canary", Operator.NOT_EXISTS, []],
    ["env", Operator.IN, ["p", "s"]],
  ],
];
for (const [text, ...wanted] of readable) {
  test(`parseSelector() reads "${text}"`, () => {
    const parsed = parseSelector(text);
    assert.ok(parsed.ok, "it must be readable");
    assert.deepEqual(
      parsed.requirements.map(({ key, operator, values }) => [key, operator, values]),
      wanted,
    );
  });
}

const unreadable: [text: string, position: number, message: RegExp][] = [
  ["team=pay,region=", 16, /expected a value after "=", and the selector ends/],
  ["=eu", 0, /expected a label, not "="/],
  ["region=eu,", 10, /expected a label, and the selector ends/],
  ["region=eu;team=a", 9, /expected "," or the end, not ";"/],
  ["region in eu", 10, /expected "\(" after "in", not "e"/],
  ["region in (eu", 13, /expected "," or "\)"/],
  ["region in ()", 11, /expected a value after "\("/],
  ["region ~ eu", 7, /expected "=", "!=", "in", "notin" or ","/],
  ["region=-eu", 7, /expected a value/],
];
for (const [text, position, message] of unreadable) {
  test(`parseSelector() points at character ${position} of "${text}"`, () => {
    const parsed = parseSelector(text);
    assert.ok(!parsed.ok, "it must not be readable");
    assert.equal(parsed.position, position);
    assert.match(parsed.message, message);
  });
}

test("parseSelector() is bounded, whatever arrives", () => {
  assert.ok(!parseSelector("a,".repeat(40)).ok);
  assert.ok(!parseSelector(`a in (${"b,".repeat(300)}b)`).ok);
  assert.ok(!parseSelector("a".repeat(5000)).ok);
});

test("parseSelector() reads back what renderSelector() wrote", () => {
  const word = fc.stringMatching(/^[A-Za-z0-9]([-A-Za-z0-9_.]{0,8}[A-Za-z0-9])?$/);
  const values = fc.array(word, { minLength: 1, maxLength: 4 });
  const one = fc.oneof(
    fc.tuple(word, fc.constantFrom(Operator.IN, Operator.NOT_IN), values),
    fc.tuple(word, fc.constantFrom(Operator.EXISTS, Operator.NOT_EXISTS), fc.constant<string[]>([])),
  );
  fc.assert(
    fc.property(fc.array(one, { minLength: 1, maxLength: 5 }), (parts) => {
      const build = (list: readonly (typeof parts)[number][]) =>
        selectorOf(
          list.map(([key, operator, values]) => ({
            $typeName: "fleet.v1.Requirement",
            key,
            operator,
            values,
          })),
        );
      const parsed = parseSelector(renderSelector(build(parts)));
      assert.ok(parsed.ok);
      assert.deepEqual(
        parsed.requirements.map(({ key, operator, values }) => [key, operator, values]),
        parts,
      );
    }),
  );
});

test("parseSelector() throws nothing, whatever arrives", () => {
  fc.assert(fc.property(fc.string({ maxLength: 60 }), (text) => void parseSelector(text)));
});
