import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import type { LogExpr } from "./ast.ts";
import { evaluate, type Series } from "./evaluate.ts";
import { jsonLabels } from "./json-labels.ts";
import { labelName, streamLabels } from "./labels.ts";
import { parseQuery } from "./parse.ts";
import { compilePipeline, isDecidedByStream } from "./pipeline.ts";
import { gridOf, slide } from "./steps.ts";

function log(query: string): LogExpr {
  const parsed = parseQuery(query);
  assert.ok(parsed.ok && parsed.value.kind === "log");
  return parsed.value;
}

const line = JSON.stringify({
  rule: "Exec into pod",
  priority: "Warning",
  source: "k8s_audit",
  tags: ["k8s"],
  output_fields: { "ka.user.name": "alice", "evt.time": 0, ok: true, none: null, empty: "" },
}).replace('"evt.time":0', '"evt.time":1647707682145505330');
const labels = { source: "falco", rule: "Exec into pod", cluster: "eu-1" };

test("| json brings flat labels, keeps every digit, and does not take the place of a stream's labels", () => {
  assert.deepEqual(jsonLabels(line, labels), {
    ...labels,
    rule_extracted: "Exec into pod",
    priority: "Warning",
    source_extracted: "k8s_audit",
    output_fields_ka_user_name: "alice",
    output_fields_evt_time: "1647707682145505330",
    output_fields_ok: "true",
  });
  assert.equal(jsonLabels("no json", labels)["__error__"], "JSONParserErr");
  assert.equal(jsonLabels("[1]", labels)["__error__"], "JSONParserErr");
});

test("a query for alerts that Fluent Bit wraps in a record finds the same in those that nothing wraps", () => {
  const wrapped = log('{a="b"} | json | line_format "{{.log}}" | json').stages;
  assert.deepEqual(compilePipeline(wrapped)(line, labels), jsonLabels(line, labels));
  assert.deepEqual(wrapped, log('{a="b"} | json | line_format `{{ .log }}` | json').stages);
  assert.equal(isDecidedByStream(wrapped, ["rule"]), true);
  const dropped = log('{a="b"} | json | drop rule, rule_extracted | json').stages;
  assert.equal(compilePipeline(dropped)(line, labels)?.["rule"], "Exec into pod");
});

test("a key that is no name becomes one", () => {
  assert.equal(labelName("app.kubernetes.io/name"), "app_kubernetes_io_name");
  assert.equal(labelName("9lives"), "_9lives");
});

const stages: readonly (readonly [stages: string, passes: boolean])[] = [
  ['|= "alice"', true],
  ['|= "bob" or "alice"', true],
  ['|= "bob"', false],
  ['!= "alice"', false],
  ['!= "bob" or "alice"', false],
  ["|~ `ali.e`", true],
  ["!~ `ali.e`", false],
  ['| rule=~"(E|x)[a-z ]{1,40}"', true],
  ['| rule="Exec into pod"', true],
  ['| rule=~"Exec"', false],
  ['| rule=~"Exec.*"', true],
  ['| json | output_fields_ka_user_name="alice"', true],
  ['| json | output_fields_ka_user_name!="alice"', false],
  ["| json | output_fields_evt_time > 5", true],
  ['| json | output_fields_evt_time > 5 and priority="Notice"', false],
  ['| json | output_fields_evt_time < 5 or priority="Warning"', true],
  ["| json | missing > 0", false],
  ["| json | priority > 0", true],
  ['| json | priority > 0 | __error__=""', false],
  ['| drop rule | rule=""', true],
  ['| drop rule="x" | rule=""', false],
  ['| keep cluster | rule=""', true],
];
for (const [text, passes] of stages) {
  test(`a line ${passes ? "gets" : "does not get"} through: ${text}`, () => {
    const pipeline = compilePipeline(log(`{a="b"} ${text}`).stages);
    assert.equal(pipeline(line, labels) !== undefined, passes);
  });
}

test("the store decides by itself only where no line has to be looked at", () => {
  const decided = (text: string, wanted?: readonly string[]) =>
    isDecidedByStream(log(`{a="b"} ${text}`).stages, wanted);
  assert.equal(decided('|= "x" != "y"'), true);
  assert.equal(decided('|~ "x"'), false);
  assert.equal(decided("| json"), false);
  assert.equal(decided("| json", ["rule"]), true);
  assert.equal(decided("| json", ["team"]), false);
  assert.equal(decided('| json | cluster="x"', ["rule"]), true);
  assert.equal(decided('| json | output_fields_x="y"', ["rule"]), false);
  assert.equal(decided('| team="x" | drop team'), true);
  assert.equal(decided("| json | drop __error__", ["rule"]), true);
  assert.equal(decided("| drop rule | json", ["rule"]), false);
});

test("a stream is labelled with its cluster's labels under safe names, and no cluster can pass for another source", () => {
  const cluster = { cluster: "eu-1", "app.io/x": "1", source: "mine", priority: "none" };
  assert.deepEqual(streamLabels({ rule: "R", priority: 4, cluster }), {
    cluster: "eu-1",
    app_io_x: "1",
    job: "falconry",
    source: "falco",
    rule: "R",
    priority: "Warning",
  });
});

test("a range at each step holds what came after its beginning, up to and with its end, however range and step divide", () => {
  const whole = fc.integer({ min: 1, max: 12 });
  fc.assert(
    fc.property(
      whole,
      whole,
      whole,
      fc.array(fc.integer({ min: -40, max: 160 })),
      (rangeMs, stepMs, count, times) => {
        const steps = { firstUs: 1_000n, stepUs: BigInt(stepMs) * 1000n, count };
        const grid = gridOf(steps, rangeMs, 0);
        const buckets = new Map<number, number>();
        for (const ms of times) {
          const us = BigInt(ms) * 1000n;
          const bucket = Number((us - grid.fromUs - 1n) / grid.widthUs);
          if (us > grid.fromUs && bucket < grid.count) buckets.set(bucket, (buckets.get(bucket) ?? 0) + 1);
        }
        const wanted = Array.from({ length: count }, (_, step) => {
          const end = 1 + step * stepMs;
          return times.filter((ms) => ms > end - rangeMs && ms <= end).length || undefined;
        });
        assert.deepEqual(slide(buckets, grid, count), wanted);
      },
    ),
  );
});

const series: readonly Series[] = [
  { labels: { rule: "a", cluster: "1" }, values: [1, undefined] },
  { labels: { rule: "a", cluster: "2" }, values: [2, 5] },
  { labels: { rule: "b", cluster: "1" }, values: [4, undefined] },
];

function worth(query: string, of: readonly Series[] = series): unknown {
  const parsed = parseQuery(query);
  assert.ok(parsed.ok && parsed.value.kind !== "log");
  return evaluate(parsed.value, () => of, 2);
}

const range = 'count_over_time({a="b"}[1m])';
const worths: readonly (readonly [query: string, worth: unknown])[] = [
  ["1 + 2 * 3 ^ 2", 19],
  ["2 > 1", 1],
  ["vector(1)+vector(1)", [{ labels: {}, values: [2, 2] }]],
  [`sum(${range})`, [{ labels: {}, values: [7, 5] }]],
  [
    `sum by (rule) (${range})`,
    [
      { labels: { rule: "a" }, values: [3, 5] },
      { labels: { rule: "b" }, values: [4, undefined] },
    ],
  ],
  [
    `max without (cluster) (${range})`,
    [
      { labels: { rule: "a" }, values: [2, 5] },
      { labels: { rule: "b" }, values: [4, undefined] },
    ],
  ],
  [`count(${range})`, [{ labels: {}, values: [3, 1] }]],
  [`avg(${range})`, [{ labels: {}, values: [7 / 3, 5] }]],
  [
    `topk(1, ${range})`,
    [
      { labels: { rule: "a", cluster: "2" }, values: [undefined, 5] },
      { labels: { rule: "b", cluster: "1" }, values: [4, undefined] },
    ],
  ],
  [`sum(${range}) > 6`, [{ labels: {}, values: [7, undefined] }]],
  [`6 < sum(${range})`, [{ labels: {}, values: [7, undefined] }]],
  [`sum(${range}) / sum(${range})`, [{ labels: {}, values: [1, 1] }]],
];
for (const [query, wanted] of worths) {
  test(`evaluate() gives what Loki gives for ${query}`, () => {
    assert.deepEqual(worth(query), wanted);
  });
}
