import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import { parseQuery, parseSelectorText, queryLettersMax } from "./parse.ts";

function why(query: string): string {
  const parsed = parseQuery(query);
  return parsed.ok ? "no problem" : parsed.why;
}

function read(query: string): unknown {
  const parsed = parseQuery(query);
  assert.ok(parsed.ok, parsed.ok ? "" : `${query}: ${parsed.why}`);
  return JSON.parse(
    JSON.stringify(parsed.value, (key, value: unknown) => (key === "at" ? undefined : value)),
  );
}

test("a log query is read with its selector and its stages in their order", () => {
  assert.deepEqual(
    read(
      '{source="falco", cluster!~`eu-.*`} |= "exec" or "attach" != "kube-system" |~ `sh|bash` | json | output_fields_ka_user_name=~"a.*" and (x>5 or y="z") | drop __error__, rule="x"',
    ),
    {
      kind: "log",
      matchers: [
        { name: "source", op: "=", value: "falco" },
        { name: "cluster", op: "!~", value: "eu-.*" },
      ],
      stages: [
        { kind: "line", op: "|=", texts: ["exec", "attach"] },
        { kind: "line", op: "!=", texts: ["kube-system"] },
        { kind: "line", op: "|~", texts: ["sh|bash"] },
        { kind: "json" },
        {
          kind: "filter",
          filter: {
            kind: "and",
            left: { kind: "text", matcher: { name: "output_fields_ka_user_name", op: "=~", value: "a.*" } },
            right: {
              kind: "or",
              left: { kind: "number", name: "x", op: ">", value: 5 },
              right: { kind: "text", matcher: { name: "y", op: "=", value: "z" } },
            },
          },
        },
        {
          kind: "drop",
          labels: [{ name: "__error__" }, { name: "rule", matcher: { name: "rule", op: "=", value: "x" } }],
        },
      ],
    },
  );
});

test("what counts is read: ranges, sums by labels, the most, and arithmetic with its precedence", () => {
  const log = { kind: "log", matchers: [{ name: "source", op: "=", value: "falco" }], stages: [] };
  const range = { kind: "range", op: "rate", log, rangeMs: 5_400_000, offsetMs: 86_400_000 };
  assert.deepEqual(read('topk(5, sum by (rule, region) (rate({source="falco"}[1h30m] offset 1d)))'), {
    kind: "aggregate",
    op: "topk",
    grouping: { isWithout: false, labels: [] },
    k: 5,
    of: {
      kind: "aggregate",
      op: "sum",
      grouping: { isWithout: false, labels: ["rule", "region"] },
      k: 0,
      of: range,
    },
  });
  assert.deepEqual(read("vector(1)+vector(1)"), {
    kind: "binary",
    op: "+",
    left: { kind: "vector", value: 1 },
    right: { kind: "vector", value: 1 },
  });
  assert.deepEqual(read("1 + 2 * 3"), {
    kind: "binary",
    op: "+",
    left: { kind: "number", value: 1 },
    right: {
      kind: "binary",
      op: "*",
      left: { kind: "number", value: 2 },
      right: { kind: "number", value: 3 },
    },
  });
});

test("texts are read as Go writes them", () => {
  const value = (query: string) => (read(query) as { matchers: { value: string }[] }).matchers[0]?.value;
  assert.equal(value('{a="x\\n\\"\\\\\\u00e9\\x41"}'), 'x\n"\\éA');
  assert.equal(value('{a=`x\\n"`}'), 'x\\n"');
});

const refused: readonly (readonly [query: string, why: RegExp])[] = [
  ['{source="falco"', /^parse error at line 1, col 16: syntax error: unexpected end of query$/],
  ['{source="falco"} |\n= "x"', /^parse error at line 2, col 1: syntax error: unexpected "="$/],
  ["", /unexpected end of query/],
  ["{}", /syntax error: unexpected "}"/],
  ['{a=~".*"}', /^parse error at line 1, col 1: queries require at least one regexp or equality matcher/],
  ['{a=~"("}', /^parse error at line 1, col 5: error parsing regexp/],
  ['{a="b"} |~ "["', /^parse error at line 1, col 12: error parsing regexp/],
  ['{a="\\q"}', /unknown escape \\q/],
  ['{a="b"} |~ "(a{1,30}){1,30}"', /^parse error at line 1, col 12: the regexp repeats too much/],
  [`{a="b"} | x=~"${"a{1,99}".repeat(30)}"`, /the regexp repeats too much/],
  [`{a=~"${"x".repeat(1_025)}"}`, /^parse error at line 1, col 5: a regexp may have 1024 letters at most/],
  [`{a="b"}${` |~ "${"x".repeat(290)}"`.repeat(4)}`, /the regexps of the query are too large together/],
  ["{a='b'}", /syntax error: unexpected "'"/],
  ['{a="b"} | logfmt', /^parse error at line 1, col 11: not supported here: the parser logfmt/],
  ['{a="b"} | json x="y"', /col 11: not supported here: json with expressions/],
  ['{a="b"} | line_format "{{.x}}"', /col 11: not supported here: line_format, but for/],
  ['{a="b"} | line_format "{{.log}} "', /not supported here: line_format/],
  ['{a="b"} | label_format x=y', /not supported here: label_format/],
  ['{a="b"} | unpack', /not supported here: unpack/],
  ['{a="b"} | pattern "<x>"', /not supported here: pattern/],
  ['{a="b"} | regexp "(?P<x>.)"', /not supported here: regexp/],
  ['{a="b"} | decolorize', /not supported here: decolorize/],
  ['{a="b"} |> "<_>"', /col 9: not supported here: \|>/],
  ['{a="b"} |= ip("10.0.0.0/8")', /not supported here: the filter ip\(\)/],
  ['{a="b"} | x=ip("10.0.0.0/8")', /not supported here: the filter ip\(\)/],
  ['{a="b"} | x > 5s', /not supported here: a label filter with a duration/],
  ['quantile_over_time(0.9, {a="b"} | unwrap x [5m])', /not supported here: quantile_over_time/],
  ['absent_over_time({a="b"}[5m])', /not supported here: absent_over_time/],
  ['rate({a="b"} | unwrap x [5m])', /not supported here: unwrap/],
  ['count_over_time({a="b"}[5m]) by (x)', /grouping not allowed for count_over_time/],
  ['stddev(rate({a="b"}[5m]))', /not supported here: stddev/],
  ['sum(rate({a="b"}[5m])) / on (x) sum(rate({a="b"}[5m]))', /not supported here: on, ignoring/],
  ['sum(rate({a="b"}[5m])) and sum(rate({a="b"}[5m]))', /not supported here: and/],
  ['label_replace(rate({a="b"}[5m]), "x", "$1", "y", "(.*)")', /not supported here: label_replace/],
  ['topk(sum(rate({a="b"}[5m])))', /parameter is wanted for operation topk/],
  ['sum(2, rate({a="b"}[5m]))', /no parameter is wanted for operation sum/],
  ['count_over_time({a="b"}[7000y])', /not a valid duration/],
  ['count_over_time({a="b"}[0s])', /not a valid duration/],
  ['{a="b"} + 1', /a log query/],
  [`{a="${"x".repeat(queryLettersMax)}"}`, /at most 8192 are allowed/],
  [`${"(".repeat(2000)}1${")".repeat(2000)}`, /more than 256 parts/],
];
for (const [query, pattern] of refused) {
  test(`a query that cannot be answered is refused by name and place: ${query.slice(0, 60)}`, () => {
    assert.match(why(query), pattern);
  });
}

test("only a selector is taken where streams are chosen", () => {
  assert.equal(parseSelectorText('{a="b"}').ok, true);
  assert.equal(parseSelectorText('{a="b"} |= "x"').ok, false);
  assert.equal(parseSelectorText('rate({a="b"}[5m])').ok, false);
});

test("whatever arrives as a query is read or refused, and never breaks the reader", () => {
  const word = fc.constantFrom(
    '{a="b"}',
    "sum",
    "by",
    "(",
    ")",
    "[5m]",
    "|=",
    '"x"',
    "| json",
    "rate",
    "count_over_time",
    "1",
    "+",
    "{",
    "}",
    "`",
    '"',
    ",",
    "topk",
    "offset",
    "5m",
    "|",
    "x",
    "=~",
    "and",
    "or",
    "drop",
    "\\",
    "\0",
    "é",
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 20 }), (words) => {
      const parsed = parseQuery(words.join(" "));
      return parsed.ok || parsed.why.length > 0;
    }),
  );
});
