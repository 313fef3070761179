import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { runCli, temporaryDirectory } from "../../test/support/run-cli.ts";
import { splitJsonValues } from "./json-values.ts";
import { groupRecords, payloadsOf, singleEvents } from "./payloads.ts";

const cases: readonly (readonly [string, string, readonly string[]])[] = [
  ["lines of JSON", '{"a":1}\n\n{"b":2}\n', ['{"a":1}', '{"b":2}']],
  ["a document over many lines", '{\n"a":[1,\n2]}', ['{\n"a":[1,\n2]}']],
  ["several documents over many lines", '{\n"a":1}\n{\n"b":2}', ['{\n"a":1}', '{\n"b":2}']],
  ["an array", "[\n{},\n{}]", ["[\n{},\n{}]"]],
  ["a broken line among lines", '{"a":\n{"b":2}', ['{"a":', '{"b":2}']],
  ["brackets and quotes inside a text", '{\n"a":"}\\"]"}', ['{\n"a":"}\\"]"}']],
  ["lines of another log", "type=SYSCALL msg=1\ntype=PATH", ["type=SYSCALL msg=1", "type=PATH"]],
];
for (const [what, text, payloads] of cases) {
  test(`payloadsOf() reads ${what}`, () => assert.deepEqual(payloadsOf(text), payloads));
}

test("singleEvents() takes arrays and lists apart, however they are nested", () => {
  const list = '{"kind":"EventList","items":[{"kind":"Event","n":1},{"kind":"Event","n":2}]}';
  assert.deepEqual(singleEvents([`[${list},[{"n":3}]]`, "no event"]), [
    '{"kind":"Event","n":1}',
    '{"kind":"Event","n":2}',
    '{"n":3}',
    "no event",
  ]);
});

test("groupRecords() puts the records of one event together though others stand between", () => {
  const record = (type: string, serial: number) => `type=${type} msg=audit(1700000000.1:${serial}): a=1`;
  assert.deepEqual(groupRecords([record("SYSCALL", 1), record("SYSCALL", 2), "{}", record("CWD", 1), "{}"]), [
    `${record("SYSCALL", 1)}\n${record("CWD", 1)}`,
    record("SYSCALL", 2),
    "{}",
    "{}",
  ]);
});

test("splitJsonValues() finds every object again, whatever they hold and whatever stands between", () => {
  const objects = fc.array(fc.dictionary(fc.string(), fc.jsonValue()), { maxLength: 5 });
  fc.assert(
    fc.property(objects, fc.constantFrom("\n", ",\n", " ", ""), fc.nat(2), (values, gap, indent) => {
      const texts = values.map((value) => JSON.stringify(value, undefined, indent));
      assert.deepEqual(splitJsonValues(texts.join(gap)), texts);
    }),
  );
});

test("splitJsonValues() ends on any text", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom("{", "}", "[", "]", '"', "\\", ",", "a") }), (text) => {
      for (const value of splitJsonValues(text) ?? []) assert.ok(text.includes(value));
    }),
  );
});

test("rules run reads a file that cannot be there with an error that names it", async (t) => {
  const folder = await temporaryDirectory(t);
  const rules = "rules/starter";
  const { code, talk } = await runCli(["rules", "run", "--rules", rules, "--events", `${folder}/none.log`]);
  assert.equal(code, 2);
  assert.match(talk, /none\.log cannot be read \(ENOENT\)\n {2}try: Check the path/);
});
