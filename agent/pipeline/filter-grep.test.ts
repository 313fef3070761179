import assert from "node:assert/strict";
import { test } from "node:test";
import { filtered } from "./testing/filtered.ts";

const cases: readonly (readonly [rules: string, kept: readonly string[], dropped: readonly string[]])[] = [
  [
    "Regex log aa",
    ['{"log":"aab"}', '{"log":"xaa"}'],
    ['{"log":"bbb"}', "{}", '{"log":12}', '{"log":["aa"]}'],
  ],
  ["Regex log ^\\d{4}-\\d{2}", ['{"log":"2026-11"}'], ['{"log":"x2026-11"}']],
  [
    "Exclude verb ^(get|list)$",
    ['{"verb":"create"}', "{}", '{"verb":true}'],
    ['{"verb":"get"}', '{"\\u0076erb":"list"}'],
  ],
  [
    "Exclude $kubernetes['labels']['app'] myapp",
    ['{"kubernetes":{"labels":{"app":"other"}}}', '{"kubernetes":"myapp"}'],
    ['{"kubernetes":{"labels":{"app":"myapp"}}}'],
  ],
  ["Exclude $a[0] x", ['{"a":["y","x"]}', '{"a":[]}'], ['{"a":["x"]}']],
  ["Exclude $code ^2", ['{"code":200}'], ['{"code":"200"}']],
  ["Exclude a x\n Regex b y", ['{"a":"z","b":"y"}', '{"b":"y"}'], ['{"a":"x","b":"y"}', '{"a":"z"}']],
  ["Logical_Op or\n Regex a x\n Regex b y", ['{"a":"x"}', '{"b":"y"}'], ['{"a":"y","b":"x"}', "{}"]],
  ["Logical_Op and\n Regex a x\n Regex b y", ['{"a":"x","b":"y"}'], ['{"a":"x"}', '{"b":"y"}']],
  ["Logical_Op or\n Exclude a x\n Exclude b y", ["{}"], ['{"a":"x"}', '{"b":"y"}']],
  ["Logical_Op and\n Exclude a x\n Exclude b y", ['{"a":"x"}', '{"b":"y"}', "{}"], ['{"a":"x","b":"y"}']],
  ["Regex log /AA/i", ['{"log":"aab"}'], ['{"log":"bb"}']],
  // A line break does not begin a new line for ^, as it would in Fluent Bit: nothing slips past it behind one.
  ["Exclude user ^system:", ['{"user":"x\\nsystem:admin"}'], ['{"user":"system:admin"}']],
];

for (const [rules, kept, dropped] of cases) {
  test(`grep "${rules.replaceAll("\n", ",")}" keeps and drops what Fluent Bit does, and counts it`, () => {
    const filter = filtered(`[FILTER]\n Name grep\n ${rules}\n`);
    for (const record of kept) assert.equal(filter.line(record), record);
    for (const record of dropped) assert.equal(filter.line(record), undefined, record);
    const [stats] = filter.stats();
    assert.equal(stats?.records, kept.length + dropped.length);
    assert.equal(stats?.dropped, dropped.length);
    assert.equal(stats?.changed, 0);
    assert.equal(
      stats?.droppedBytes,
      dropped.reduce((sum, record) => sum + Buffer.byteLength(record), 0),
    );
  });
}

test("grep says of each drop which rule did it", () => {
  const filter = filtered("[FILTER]\n Name grep\n Alias quiet\n Exclude verb ^get$\n Exclude verb ^list$\n");
  for (const verb of ["get", "list", "list"]) filter.line(`{"verb":"${verb}"}`);
  assert.deepEqual(filter.stats()[0]?.drops, [
    { reason: "exclude verb ^get$", records: 1 },
    { reason: "exclude verb ^list$", records: 2 },
  ]);
});

test("a dropped record does not reach the filters after it", () => {
  const filter = filtered("[FILTER]\n Name grep\n Exclude a x\n[FILTER]\n Name modify\n Set b 1\n");
  filter.line('{"a":"x"}');
  filter.line('{"a":"y"}');
  assert.deepEqual(
    filter.stats().map(({ records, changed, dropped }) => [records, changed, dropped]),
    [
      [2, 0, 1],
      [1, 1, 0],
    ],
  );
});
