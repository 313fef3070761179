import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import * as fc from "fast-check";
import { filtered } from "./testing/filtered.ts";

const cases: readonly (readonly [options: string, record: string, want: string])[] = [
  [
    "field requestObject.data.*",
    '{"requestObject":{"kind":"Secret", "data":{"p":"aGk=","n":1}},"b":1.0}',
    '{"requestObject":{"kind":"Secret", "data":{"p":"***","n":null}},"b":1.0}',
  ],
  [
    "field requestObject.data",
    '{"requestObject":{"data":{"p":"x"}}}',
    '{"requestObject":{"data":{"p":"***"}}}',
  ],
  ["field a", '{"a":[1,true,null,"x",{"k":-1.5e3}]}', '{"a":[null,null,null,"***",{"k":null}]}'],
  ["field a.*.b", '{"a":[{"b":"x","c":"y"},{"b":"z"}]}', '{"a":[{"b":"***","c":"y"},{"b":"***"}]}'],
  ["field $a['k.with.dots']", '{"a":{"k.with.dots":"x","k":"y"}}', '{"a":{"k.with.dots":"***","k":"y"}}'],
  ["field $a[1]", '{"a":["x","y"]}', '{"a":["x","***"]}'],
  ["field a\n with gone", '{"a":"x"}', '{"a":"gone"}'],
  ["field a.b", '{"a":{"\\u0062":"x"}}', '{"a":{"\\u0062":"***"}}'],
  ["field a.b", '{"\\u0061":{"b":"x"}}', '{"\\u0061":{"b":"***"}}'],
  ["field a.b", '{"a":{"b":"x"},"a":{"b":"y","b":"z"}}', '{"a":{"b":"***"},"a":{"b":"***","b":"***"}}'],
  [
    "field a.b\n field a.b.c\n field a.d",
    '{"a":{"b":{"c":"x"},"d":"y"}}',
    '{"a":{"b":{"c":"***"},"d":"***"}}',
  ],
  ["field a", '{"a" : "x\\"y" , "b":"\\\\" }', '{"a":"***","b":"\\\\"}'],
  ["field a", '{"b":{"a":"x"}}', '{"b":{"a":"x"}}'],
  ["field a.b", '{"a":"b"}', '{"a":"b"}'],
  [
    "condition Key_value_equals kind Secret\n field data",
    '{"kind":"Other","data":"x"}',
    '{"kind":"Other","data":"x"}',
  ],
  [
    "condition Key_value_equals kind Secret\n field data",
    '{"kind":"Secret","data":"x"}',
    '{"kind":"Secret","data":"***"}',
  ],
];

for (const [options, record, want] of cases) {
  test(`mask "${options.replaceAll("\n", ",")}" makes ${record} into ${want}, and rules see what was there`, () => {
    const filter = filtered(`[FILTER]\n Name mask\n ${options}\n`);
    assert.equal(filter.line(record), want);
    assert.deepEqual(JSON.parse(filter.clear(record) ?? ""), JSON.parse(record));
  });
}

test("a hash is the same for the same text, however it is spelled, and cannot be had without the key", () => {
  const key = "a key that nobody guesses";
  const filter = filtered(`[FILTER]\n Name mask\n field a\n with hash\n key ${key}\n`);
  const want = createHmac("sha256", key).update("é").digest("hex").slice(0, 32);
  assert.equal(filter.line('{"a":["é","\\u00e9",1]}'), `{"a":["hmac:${want}","hmac:${want}",null]}`);
});

test("what later filters do with a masked value keeps it masked for outputs and clear for rules", () => {
  const mask = "[FILTER]\n Name mask\n field o\n";
  const copy = `${mask}[FILTER]\n Name modify\n Copy o p\n Rename o q\n`;
  const record = '{"o":{"k":"secret"}}';
  assert.equal(filtered(copy).line(record), '{"q":{"k":"***"},"p":{"k":"***"}}');
  assert.equal(filtered(copy).clear(record), '{"q":{"k":"secret"},"p":{"k":"secret"}}');
  const lift = `${mask}[FILTER]\n Name nest\n Operation lift\n Nested_under o\n`;
  assert.equal(filtered(lift).line(record), '{"k":"***"}');
  assert.equal(filtered(lift).clear(record), '{"k":"secret"}');
  const nest = `${mask}[FILTER]\n Name nest\n Operation nest\n Wildcard *\n Nest_under n\n`;
  assert.equal(filtered(nest).line(record), '{"n":{"o":{"k":"***"}}}');
  assert.equal(filtered(nest).clear(record), '{"n":{"o":{"k":"secret"}}}');
});

test("a mask leaves no text, number or truth value below its field, whatever lies there", () => {
  const filter = filtered("[FILTER]\n Name mask\n field secret\n");
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom(undefined, 1), (value, indent) => {
      const line = filter.line(JSON.stringify({ secret: value, kept: value }, null, indent)) ?? "";
      const parsed = JSON.parse(line) as { readonly secret: unknown; readonly kept: unknown };
      assert.deepEqual(parsed.kept, JSON.parse(JSON.stringify(value)));
      assert.deepEqual(parsed.secret, hidden(JSON.parse(JSON.stringify(value))));
    }),
  );
});

function hidden(value: unknown): unknown {
  if (typeof value === "string") return "***";
  if (Array.isArray(value)) return value.map(hidden);
  if (typeof value !== "object" || value === null) return null;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, hidden(inner)]));
}
