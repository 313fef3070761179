import assert from "node:assert/strict";
import { test } from "node:test";
import { parseShipperConfig, renderProblems } from "./index.ts";
import type { FilterConfig, ParsedConfig } from "./index.ts";

const facts = { REGION: "eu", CLUSTER: "c-1", MASK_KEY: "0123456789abcdef" };

function parsed(section: string): ParsedConfig {
  const content = `[FILTER]\n Match *\n ${section}\n`;
  return parseShipperConfig([{ name: "a.conf", content }], facts);
}

function accepted(section: string): FilterConfig {
  const config = parsed(section);
  assert.ok(config.ok, config.ok ? "" : renderProblems(config.problems));
  const [filter] = config.config.filters;
  assert.ok(filter !== undefined);
  return filter;
}

const refusals: readonly (readonly [section: string, said: RegExp])[] = [
  ["Name modify", /:1:1: Filter "modify" does nothing/],
  ["Name modify\n Rename a", /:4:2: "rename a" has to be "rename KEY NEW_KEY"/],
  ["Name modify\n Rename a a", /names one key twice/],
  ["Name modify\n Remove_regex (?=a)", /:4:2: The regular expression "\(\?=a\)" cannot be used/],
  [
    "Name modify\n Set a 1\n Condition Key_is_there a",
    /:5:2: Condition "Key_is_there" does not exist.*key_exists/,
  ],
  [
    "Name modify\n Set a 1\n Condition Key_value_equals a",
    /has to be "condition Key_value_equals KEY VALUE"/,
  ],
  ["Name modify\n Set a 1\n Condition Key_exists $a['b", /:5:2: "\$a\['b" is no field/],
  ["Name modify\n Set a 1\n Condition Key_exists $a[*]", /is no field/],
  [`Name modify\n${" Set a 1\n".repeat(65)}`, /has 65 rules and may have 64/],
  ["Name record_modifier", /"record_modifier" does nothing/],
  ["Name record_modifier\n Remove_key a\n Allowlist_key b", /exclude one another/],
  ["Name grep", /"grep" does nothing/],
  ["Name grep\n Regex verb", /has to be "regex KEY REGEX"/],
  ["Name grep\n Regex a x\n Regex b y", /:5:2: This rule would never count.*Logical_Op and/],
  ["Name grep\n Regex a x\n Exclude b y", /:5:2: This rule would never count.*every Exclude before/],
  ["Name grep\n Logical_Op and\n Regex a x\n Exclude b y", /:4:2: "logical_op and" takes either/],
  ["Name grep\n Logical_Op xor\n Regex a x", /has to be legacy, and, or/],
  ["Name nest", /"operation" is missing[^]*"wildcard" is missing[^]*"nest_under" is missing/],
  ["Name nest\n Operation lift", /"nested_under" is missing/],
  ["Name nest\n Operation lift\n Nested_under a\n Add_prefix b\n Remove_prefix c", /exclude one another/],
  ["Name throttle\n Rate 0.5", /"rate" is "0.5" and has to be a whole number/],
  ["Name throttle\n Interval 1w", /"interval" is "1w"/],
  ["Name type_converter", /"type_converter" does nothing/],
  ["Name type_converter\n int_key a b", /has to be "int_key KEY NEW_KEY TYPE"/],
  ["Name type_converter\n str_key a b string", /"str_key" cannot become "string"\. It can become: int/],
  ["Name cluster_facts\n Facts owner", /"owner" is no fact of a cluster\. Known facts: region/],
  ["Name mask", /"field" is missing/],
  ["Name mask\n field *", /"\*" is no field/],
  ["Name mask\n field a..b", /"a\.\.b" is no field/],
  ["Name mask\n field a\n with hash", /needs a "key" of 16 characters/],
  ["Name mask\n field a\n key 0123456789abcdef", /"key" is for "with hash" only/],
  ["Name lua\n script x.lua", /:3:2: Filter plugin "lua" is not supported/],
];
for (const [section, said] of refusals) {
  test(`"${section.slice(0, 60).replaceAll("\n", ",")}" is refused with its place and what to write instead`, () => {
    const config = parsed(section);
    assert.ok(!config.ok, "the config was accepted");
    assert.match(renderProblems(config.problems), said);
  });
}

test("what works in Fluent Bit in another way than it reads is accepted with a warning", () => {
  const config = parsed("Name modify\n Remove_wildcard Mem*");
  assert.ok(config.ok);
  assert.match(renderProblems(config.warnings), /:4:2: "remove_wildcard" names how keys begin: write "Mem"/);
});

test("throttle without time_key is accepted with a warning that a backlog is dropped", () => {
  const config = parsed("Name throttle\n Rate 10");
  assert.ok(config.ok);
  assert.match(renderProblems(config.warnings), /time_key stageTimestamp/);
});

test("throttle has Fluent Bit's defaults and reads its intervals", () => {
  const plain = accepted("Name throttle");
  assert.ok(plain.plugin === "throttle");
  assert.deepEqual([plain.rate, plain.window, plain.intervalMs], [1, 5, 1000]);
  const long = accepted("Name throttle\n Interval 1.5m\n time_key t");
  assert.equal(long.plugin === "throttle" && long.intervalMs, 90_000);
});

test("a record accessor may hold blanks, quotes and dots", () => {
  const filter = accepted("Name grep\n Regex $a['b c'][\"d'e\"][0] ^x y$");
  assert.ok(filter.plugin === "grep");
  assert.deepEqual(filter.rules[0]?.path, [
    { kind: "key", name: "a" },
    { kind: "key", name: "b c" },
    { kind: "key", name: "d'e" },
    { kind: "index", index: 0 },
  ]);
  assert.equal(filter.rules[0]?.pattern, "^x y$");
});

test("YAML gives filters what the classic format gives them", () => {
  const yaml = `pipeline:
  filters:
    - name: grep
      match: '*'
      logical_op: or
      regex:
        - value something
        - $a['b'] error
`;
  const config = parseShipperConfig([{ name: "a.yaml", content: yaml }], facts);
  assert.ok(config.ok, config.ok ? "" : renderProblems(config.problems));
  const classic = accepted("Name grep\n Logical_Op or\n Regex value something\n Regex $a['b'] error");
  const [filter] = config.config.filters;
  assert.deepEqual({ ...filter, at: 0 }, { ...classic, at: 0 });
});

test("a fact cannot become two words of a rule, nor a mask's key be shorter for being a variable", () => {
  const filter = accepted("Name mask\n field a.b\n with hash\n key ${MASK_KEY}");
  assert.ok(filter.plugin === "mask" && filter.how.kind === "hash");
  assert.equal(filter.how.key, facts.MASK_KEY);
});

test("a filter that would drop alerts unseen is accepted with a warning", () => {
  const detect = "[OUTPUT]\n Name detect\n Match audit\n[OUTPUT]\n Name fleet\n Match alerts";
  const said = (match: string) => {
    const content = `[FILTER]\n Name grep\n Match ${match}\n Regex verb create\n${detect}\n`;
    const config = parseShipperConfig([{ name: "a.conf", content }], facts);
    assert.ok(config.ok);
    return renderProblems(config.warnings);
  };
  assert.match(said("*"), /:1:1: Filter "grep" takes tag "alerts", too/);
  assert.equal(said("audit"), "");
});
