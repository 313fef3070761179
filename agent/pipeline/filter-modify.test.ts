import assert from "node:assert/strict";
import { test } from "node:test";
import { filtered } from "./testing/filtered.ts";

type Case = readonly [rules: string, record: string, want: string];

const place = "Add x_cluster ${CLUSTER}";

/** What the agent says of a record stands, however the record contradicts it. */
const statements: readonly Case[] = [
  [place, "{}", '{"x_cluster":"c-1"}'],
  [place, '{"a":1.50e1}', '{"a":1.50e1,"x_cluster":"c-1"}'],
  [place, '{"x_cluster":"evil","a":1}', '{"a":1,"x_cluster":"c-1"}'],
  [place, '{"x_cluster":1,"x_cluster":2}', '{"x_cluster":"c-1"}'],
  [place, '{"x_\\u0063luster":"evil"}', '{"x_cluster":"c-1"}'],
  [place, '{"a":{"x_cluster":"inner"}}', '{"a":{"x_cluster":"inner"},"x_cluster":"c-1"}'],
  [
    `${place}\n Add x_team \${TEAM}`,
    '{"x_team":"z","b":[ ]}',
    '{"b":[ ],"x_cluster":"c-1","x_team":"payments"}',
  ],
];

/** Rules as Fluent Bit documents them. */
const rules: readonly Case[] = [
  ["Set a 2", '{"a":1,"b":3}', '{"b":3,"a":"2"}'],
  ["Set a two words", "{}", '{"a":"two words"}'],
  ['Set a "a \\"quoted\\" word"', "{}", '{"a":"a \\"quoted\\" word"}'],
  ["Add a 2", '{"a":1}', '{"a":1}'],
  ["Add a 2", ' { "b" : 1 } ', '{ "b" : 1 ,"a":"2"}'],
  ["Add a 1\n Rename a b", '{"b":2}', '{"b":2,"a":"1"}'],
  ["Add a 1\n Hard_copy a b", '{"b":2,"c":3}', '{"c":3,"a":"1","b":"1"}'],
  ["Add a 1\n Rename a b", '{"c":2}', '{"c":2,"b":"1"}'],
  ["Set k 1\n Add k 2", '{"a":1}', '{"a":1,"k":"1"}'],
  ["Remove a", '{"a":1,"b":2,"a":3}', '{"b":2}'],
  ["Remove a", ' { "b" : 2 } ', ' { "b" : 2 } '],
  ["Remove_wildcard Mem", '{"Mem.total":1,"Memory":2,"xMem":3}', '{"xMem":3}'],
  ["Remove_regex ^M.*total$", '{"Mem.total":1,"Mem.used":2}', '{"Mem.used":2}'],
  ["Remove_regex /^mem/i", '{"Mem.total":1,"b":2}', '{"b":2}'],
  ["Rename a b", '{"a":"\\u00e9","c":1}', '{"b":"\\u00e9","c":1}'],
  ["Rename a b", '{"a":1,"b":2}', '{"a":1,"b":2}'],
  ["Hard_rename a b", '{"b":2,"a":1,"c":3}', '{"b":1,"c":3}'],
  ["Hard_rename a b", '{"c":3,"b":2}', '{"c":3,"b":2}'],
  ["Copy a b", '{"a":[1, 2],"c":3}', '{"a":[1, 2],"b":[1, 2],"c":3}'],
  ["Copy a b", '{"a":1,"b":2}', '{"a":1,"b":2}'],
  ["Copy a b", '{"a":1,"a":2}', '{"a":1,"a":2}'],
  ["Hard_copy a b", '{"b":2,"a":1}', '{"a":1,"b":1}'],
  ["Move_to_start Key", '{"a":1,"Key2":2,"b":3,"Key1":4}', '{"Key2":2,"Key1":4,"a":1,"b":3}'],
  ["Move_to_end Key", '{"Key2":2,"a":1,"Key1":4,"b":3}', '{"a":1,"b":3,"Key2":2,"Key1":4}'],
  [
    "Rename Key2 RenamedKey\n Add OtherKey Value3",
    '{"Key1":"Value1","Key2":"Value2"}',
    '{"Key1":"Value1","RenamedKey":"Value2","OtherKey":"Value3"}',
  ],
  [
    "Set This_plugin_is_on 🔥\n Set 🔥 is_hot\n Copy 🔥 💦\n Rename  💦 ❄️\n Set ❄️ is_cold\n Set 💦 is_wet",
    "{}",
    '{"This_plugin_is_on":"🔥","🔥":"is_hot","❄️":"is_cold","💦":"is_wet"}',
  ],
];

/** Each condition with a record for which it holds, then records for which it does not. */
const conditions: readonly (readonly [condition: string, holds: string, ...fails: string[]])[] = [
  ["Key_exists a", '{"a":null}', "{}", '{"b":{"a":1}}'],
  ["Key_exists $a['b']", '{"a":{"b":0}}', '{"a":1}', '{"a":{"c":1}}', '{"a":["b"]}'],
  ["Key_exists $a[1]['c.d']", '{"a":[0,{"c.d":1}]}', '{"a":[{"c.d":1}]}', '{"a":{"1":{"c.d":1}}}'],
  ["Key_does_not_exist a", '{"b":1}', '{"a":1}', '{"\\u0061":1}'],
  ["A_key_matches ^a+$", '{"b":1,"aa":2}', '{"ab":1}', "{}"],
  ["No_key_matches ^a+$", '{"ab":1}', '{"aa":1}'],
  ["Key_value_equals a x y", '{"a":"x y"}', '{"a":"x"}', "{}", '{"a":["x y"]}'],
  ["Key_value_equals a 403", '{"a":"403"}', '{"a":403}'],
  ["Key_value_equals a é", '{"a":"\\u00e9"}', '{"a":"e"}'],
  ["Key_value_equals $a['b'] x", '{"a":{"b":"y","b":"x"}}', '{"a":{"b":"x","b":"y"}}'],
  ["Key_value_does_not_equal a x", '{"a":"y"}', '{"a":"x"}', "{}"],
  ["Key_value_does_not_equal a 403", '{"a":403}', '{"a":"403"}'],
  ["Key_value_matches a ^x", '{"a":"xy"}', '{"a":"yx"}', "{}", '{"a":12}'],
  ["Key_value_matches a ^tr", '{"a":true}', '{"a":false}'],
  ["Key_value_does_not_match a ^x", '{"a":"yx"}', '{"a":"xy"}', "{}"],
  ["Matching_keys_have_matching_values ^k ^v", '{"k1":"v1","k2":"v2","a":1}', '{"k1":"v","k2":"w"}'],
  ["Matching_keys_do_not_have_matching_values ^k ^v", '{"k1":"v","k2":"w"}', '{"k1":"v"}'],
  ["KEY_EXISTS a\n Condition key_exists b", '{"a":1,"b":1}', '{"a":1}', '{"b":1}'],
];

for (const [text, record, want] of [...statements, ...rules]) {
  test(`modify "${text.replaceAll("\n", ",")}" makes ${record} into ${want}`, () => {
    assert.equal(filtered(`[FILTER]\n Name modify\n ${text}\n`).line(record), want);
  });
}

for (const [condition, holds, ...fails] of conditions) {
  test(`modify with "${condition.replaceAll("\n", ",")}" changes what the condition holds for, and nothing else`, () => {
    const filter = filtered(`[FILTER]\n Name modify\n Condition ${condition}\n Set new 1\n`);
    assert.match(filter.line(holds) ?? "", /"new":"1"\}$/);
    for (const record of fails) assert.equal(filter.line(record), record);
    assert.equal(filter.stats()[0]?.changed, 1);
    assert.equal(filter.stats()[0]?.records, 1 + fails.length);
  });
}

test("conditions look at what the filters before them made, as in Fluent Bit's own example", () => {
  const filter = filtered(`[FILTER]
    Name    modify
    Condition Key_Does_Not_Exist cpustats
    Condition Key_Exists Mem.used
    Set cpustats UNKNOWN
[FILTER]
    Name    modify
    Condition Key_Value_Does_Not_Equal cpustats KNOWN
    Add sourcetype memstats
[FILTER]
    Name    modify
    Condition Key_Value_Equals cpustats UNKNOWN
    Remove_wildcard Mem
    Remove_wildcard Swap
    Add cpustats_more STILL_UNKNOWN
`);
  assert.equal(
    filter.line('{"Mem.total":1,"Mem.used":2,"Swap.free":3}'),
    '{"cpustats":"UNKNOWN","sourcetype":"memstats","cpustats_more":"STILL_UNKNOWN"}',
  );
});

const modifier: readonly Case[] = [
  [
    "Record hostname node-1\n Record product Awesome_Tool",
    '{"a":1}',
    '{"a":1,"hostname":"node-1","product":"Awesome_Tool"}',
  ],
  ["Record x_cluster ${CLUSTER}", '{"x_cluster":"evil"}', '{"x_cluster":"c-1"}'],
  ["Record a 2", '{"a":1}', '{"a":"2"}'],
  [
    "Remove_key Swap.total\n Remove_key Swap.used",
    '{"Mem.total":1,"Swap.total":2,"Swap.used":3,"Swap.free":4}',
    '{"Mem.total":1,"Swap.free":4}',
  ],
  ["Remove_key swap.*", '{"Mem.total":1,"Swap.total":2,"Swap":3}', '{"Mem.total":1,"Swap":3}'],
  [
    "Allowlist_key Mem.total\n Whitelist_key Mem.free",
    '{"Mem.total":1,"Mem.used":2,"Mem.free":3}',
    '{"Mem.total":1,"Mem.free":3}',
  ],
  ["Record b 1\n Allowlist_key a", '{"a":1,"c":2}', '{"a":1,"b":"1"}'],
  ["Allowlist_key z", '{"a":1}', "{}"],
];
for (const [text, record, want] of modifier) {
  test(`record_modifier "${text.replaceAll("\n", ",")}" makes ${record} into ${want}`, () => {
    assert.equal(filtered(`[FILTER]\n Name record_modifier\n ${text}\n`).line(record), want);
  });
}

test("cluster_facts says where a record comes from, and a record cannot say otherwise", () => {
  const filter = filtered("[FILTER]\n Name cluster_facts\n");
  const want = '{"a":1,"x_region":"eu","x_team":"payments","x_environment":"prod","x_cluster":"c-1"}';
  assert.equal(filter.line('{"a":1}'), want);
  assert.equal(filter.line('{"x_cluster":"evil","a":1,"x_\\u0074eam":"evil"}'), want);
});

test("cluster_facts removes a claim about a fact that the agent does not know", () => {
  const filter = filtered("[FILTER]\n Name cluster_facts\n Facts tribe, cluster\n Prefix from_\n");
  assert.equal(filter.line('{"from_tribe":"evil","a":1}'), '{"a":1,"from_cluster":"c-1"}');
});
