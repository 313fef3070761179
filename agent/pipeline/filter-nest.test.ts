import assert from "node:assert/strict";
import { test } from "node:test";
import { filtered } from "./testing/filtered.ts";

const cases: readonly (readonly [options: string, record: string, want: string])[] = [
  [
    "Operation nest\n Wildcard Key*\n Nest_under NestKey",
    '{"Key1":"Value1","Key2":"Value2","OtherKey":"Value3"}',
    '{"OtherKey":"Value3","NestKey":{"Key1":"Value1","Key2":"Value2"}}',
  ],
  [
    "Operation lift\n Nested_under NestKey",
    '{"OtherKey":"Value3","NestKey":{"Key1":"Value1", "Key2":"Value2"}}',
    '{"OtherKey":"Value3","Key1":"Value1","Key2":"Value2"}',
  ],
  [
    "Operation nest\n Wildcard Mem.*\n Nest_under Memstats\n Remove_prefix Mem.",
    '{"Mem.total":4050908,"Mem.used":714984,"Swap.total":1046524}',
    '{"Swap.total":1046524,"Memstats":{"total":4050908,"used":714984}}',
  ],
  ["Operation nest\n Wildcard a\n Nest_under n\n Add_prefix p_", '{"a":1,"ab":2}', '{"ab":2,"n":{"p_a":1}}'],
  ["Operation nest\n Wildcard z*\n Nest_under n", '{"a":1}', '{"a":1}'],
  ["Operation lift\n Nested_under n\n Add_prefix p_", '{"n":{"a":1},"b":[]}', '{"b":[],"p_a":1}'],
  ["Operation lift\n Nested_under n", '{"n":[1]}', '{"n":[1]}'],
  ["Operation lift\n Nested_under n", '{"n":{},"a":1}', '{"a":1}'],
  // Here nothing is written twice: what would take another's name stays where it is.
  ["Operation nest\n Wildcard a*\n Nest_under n", '{"a":1,"n":2}', '{"a":1,"n":2}'],
  [
    "Operation nest\n Wildcard *\n Nest_under n\n Remove_prefix a.",
    '{"a.x":1,"x":2}',
    '{"n":{"a.x":1,"x":2}}',
  ],
  ["Operation lift\n Nested_under n", '{"n":{"a":1,"b":2},"a":3}', '{"n":{"a":1},"a":3,"b":2}'],
  ["Operation lift\n Nested_under n", '{"n":{"a":1,"a":2}}', '{"n":{"a":2},"a":1}'],
  ["Operation lift\n Nested_under n", '{"n":{"n":1,"b":2}}', '{"n":{"n":1},"b":2}'],
  ["Operation lift\n Nested_under n", '{"n":{"a":1},"\\u006e":{"b":2}}', '{"a":1,"b":2}'],
];

for (const [options, record, want] of cases) {
  test(`nest "${options.replaceAll("\n", ",")}" makes ${record} into ${want}`, () => {
    assert.equal(filtered(`[FILTER]\n Name nest\n ${options}\n`).line(record), want);
  });
}

test("a lift undoes a nest, as in Fluent Bit's example", () => {
  const filter = filtered(`[FILTER]
    Name nest
    Operation nest
    Wildcard Mem.*
    Wildcard Swap.*
    Nest_under Stats
    Add_prefix NESTED
[FILTER]
    Name nest
    Operation lift
    Nested_under Stats
    Remove_prefix NESTED
`);
  const record = '{"Mem.total":8053656,"Mem.used":6940380,"Swap.total":16532988}';
  assert.equal(filter.line(record), record);
});

test("three levels nested and lifted with prefixes give Fluent Bit's keys", () => {
  const nest = (wildcard: string, under: string) =>
    `[FILTER]\n Name nest\n Operation nest\n Wildcard ${wildcard}\n Nest_under ${under}\n`;
  const lift = (under: string, prefix: string) =>
    `[FILTER]\n Name nest\n Operation lift\n Nested_under ${under}\n Add_prefix ${prefix}\n`;
  const deep = nest("Mem.*", "LAYER1") + nest("LAYER1*", "LAYER2") + nest("LAYER2*", "LAYER3");
  const record = '{"Swap.used":0,"Mem.total":4050908}';
  assert.equal(
    filtered(deep).line(record),
    '{"Swap.used":0,"LAYER3":{"LAYER2":{"LAYER1":{"Mem.total":4050908}}}}',
  );
  const back =
    lift("LAYER3", "Lifted3_") +
    lift("Lifted3_LAYER2", "Lifted3_Lifted2_") +
    lift("Lifted3_Lifted2_LAYER1", "Lifted3_Lifted2_Lifted1_");
  assert.equal(
    filtered(deep + back).line(record),
    '{"Swap.used":0,"Lifted3_Lifted2_Lifted1_Mem.total":4050908}',
  );
});

test("what a client puts into a request cannot be lifted over what the agent says", () => {
  const filter = filtered(`[FILTER]
  Name modify
  Add x_cluster \${CLUSTER}
[FILTER]
  Name nest
  Operation lift
  Nested_under requestObject
`);
  const line = filter.line('{"requestObject":{"x_\\u0063luster":"evil","a":1}}') ?? "";
  assert.equal(line, '{"requestObject":{"x_\\u0063luster":"evil"},"x_cluster":"c-1","a":1}');
});
