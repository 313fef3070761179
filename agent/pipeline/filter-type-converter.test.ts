import assert from "node:assert/strict";
import { test } from "node:test";
import { filtered } from "./testing/filtered.ts";

const cases: readonly (readonly [rule: string, value: string, want: string])[] = [
  ["uint_key v w string", "8146052", '"8146052"'],
  ["int_key v w string", "-12345678901234567890", '"-12345678901234567890"'],
  ["int_key v w float", "12", "12.0"],
  ["int_key v w uint", "12", "12"],
  ["int_key v w uint", "-12", "-12"],
  ["uint_key v w int", "9007199254740993", "9007199254740993"],
  ["float_key v w string", "1.50", '"1.50"'],
  ["float_key v w int", "-1.9", "-1"],
  ["float_key v w int", "1.5e3", "1500"],
  ["float_key v w int", "-0.5", "0"],
  ["float_key v w uint", "1.9", "1"],
  ["str_key v w int", '"0012"', "12"],
  ["str_key v w int", '"+7"', "7"],
  ["str_key v w int", '"0"', "0"],
  ["str_key v w int", '"98765432109876543210"', "98765432109876543210"],
  ["str_key v w float", '"1.25"', "1.25"],
  ["str_key v w float", '" 3 "', "3"],
  ["str_key v w hex", '"0xff"', "255"],
  ["str_key v w hex", '"FFFFFFFFFFFFFFFF"', "18446744073709551615"],
  ["str_key v w bool", '"TRUE"', "true"],
  // What cannot be converted is copied as it is, as in Fluent Bit.
  ["str_key v w int", '"12 apples"', '"12 apples"'],
  ["str_key v w uint", '"-1"', '"-1"'],
  ["str_key v w int", "12", "12"],
  ["int_key v w string", "1.5", "1.5"],
  ["int_key v w string", '"12"', '"12"'],
  ["float_key v w string", "12", "12"],
  ["float_key v w int", "1e300", "1e300"],
  ["uint_key v w string", "-1", "-1"],
  ["int_key v w string", '{ "a" : 1 }', '{ "a" : 1 }'],
];

for (const [rule, value, want] of cases) {
  test(`type_converter "${rule}" makes ${value} into ${want}`, () => {
    const line = filtered(`[FILTER]\n Name type_converter\n ${rule}\n`).line(`{"v":${value},"b":1}`);
    assert.equal(line, `{"v":${value},"b":1,"w":${want}}`);
    assert.doesNotThrow(() => JSON.parse(line ?? ""));
  });
}

test("type_converter takes a nested value, replaces a key that is there, and leaves records without the source alone", () => {
  const filter = filtered("[FILTER]\n Name type_converter\n int_key $status['code'] code string\n");
  assert.equal(filter.line('{"code":1,"status":{"code":403}}'), '{"status":{"code":403},"code":"403"}');
  assert.equal(filter.line('{"a":1}'), '{"a":1}');
});

test("type_converter makes a status code a text that grep can match", () => {
  const filter = filtered(`[FILTER]
  Name type_converter
  int_key $responseStatus['code'] code string
[FILTER]
  Name grep
  Regex code ^4
`);
  assert.equal(filter.line('{"responseStatus":{"code":200}}'), undefined);
  assert.notEqual(filter.line('{"responseStatus":{"code":403}}'), undefined);
});
