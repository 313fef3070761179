import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { parseShipperConfig, renderProblems } from "./index.ts";
import type { ConfigFile, PipelineConfig } from "./index.ts";

const facts = { REGION: "eu", TEAM: "payments", ENVIRONMENT: "prod", CLUSTER: "c-1" };

function accepted(...files: readonly (readonly [name: string, content: string])[]): PipelineConfig {
  const parsed = parseShipperConfig(named(files), facts);
  assert.ok(parsed.ok, parsed.ok ? "" : renderProblems(parsed.problems));
  return parsed.config;
}

function refused(...files: readonly (readonly [name: string, content: string])[]): string {
  const parsed = parseShipperConfig(named(files), facts);
  assert.ok(!parsed.ok, "the config was accepted");
  return renderProblems(parsed.problems);
}

function named(files: readonly (readonly [name: string, content: string])[]): readonly ConfigFile[] {
  return files.map(([name, content]) => ({ name, content }));
}

const tail = (alias: string) => `[INPUT]\n Name tail\n Alias ${alias}\n Tag audit\n Path /logs/${alias}\n`;
const discard = (alias: string) => `[OUTPUT]\n Name null\n Alias ${alias}\n Match *\n`;
const modify = (alias: string) => `[FILTER]\n Name modify\n Alias ${alias}\n Match *\n Set k ${alias}\n`;
const aliases = ({ filters }: PipelineConfig) => filters.map(({ alias }) => alias).join();

test("files in the shape of a Kubernetes deployment load: one that includes the others by name", () => {
  const main =
    "[SERVICE]\n Flush 1\n Parsers_File parsers.conf\n\n@INCLUDE input.conf\n@INCLUDE filter.conf\n@INCLUDE output.conf\n";
  const config = accepted(
    ["filter.conf", modify("facts")],
    ["fluent-bit.conf", main],
    ["input.conf", tail("audit")],
    ["output.conf", discard("out")],
    ["parsers.conf", "[PARSER]\n Name mine\n Format json\n"],
  );
  assert.deepEqual([config.inputs.length, config.filters.length, config.outputs.length], [1, 1, 1]);
});

test("an included file stands where it is included, wherever the bundle lists it", () => {
  const main = `${modify("one")}@INCLUDE b.conf\n${modify("three")}`;
  assert.equal(aliases(accepted(["b.conf", modify("two")], ["main.conf", main])), "one,two,three");
  assert.equal(aliases(accepted(["main.conf", main], ["b.conf", modify("two")])), "one,two,three");
});

test("YAML includes files beside it, in either format and through folders", () => {
  const config = accepted(
    [
      "conf/main.yaml",
      "includes:\n  - sub/a.yaml\n  - ./b.conf\npipeline:\n  filters:\n    - {name: modify, alias: last, match: '*', set: k v}\n",
    ],
    ["conf/sub/a.yaml", "includes: [../c.conf]\n"],
    ["conf/b.conf", modify("b")],
    ["conf/c.conf", modify("c")],
  );
  assert.equal(aliases(config), "c,b,last");
});

test("a file that several files include is read once", () => {
  const config = accepted(
    ["a.conf", "@INCLUDE c.conf\n"],
    ["b.conf", "@INCLUDE c.conf\n@INCLUDE c.conf\n"],
    ["c.conf", modify("c")],
  );
  assert.equal(aliases(config), "c");
});

test("a star names the files of one folder, but not the file in which it stands nor those further down", () => {
  const config = accepted(
    ["a.conf", "@INCLUDE *.conf\n@INCLUDE conf.d/*.conf\n"],
    ["b.conf", modify("b")],
    ["conf.d/d.conf", modify("d")],
    ["conf.d/deep/e.conf", modify("e")],
  );
  assert.equal(aliases(config), "b,d,e");
});

test("an included option overrides and is overridden by its place, not by the name of its file", () => {
  const service = (flush: number) => `[SERVICE]\n Flush ${flush}\n`;
  const before = accepted(["z.conf", service(2)], ["a.conf", `@INCLUDE z.conf\n${service(3)}`]);
  assert.equal(before.service.flushMs, 3000);
  const after = accepted(["z.conf", service(2)], ["a.conf", `${service(3)}@INCLUDE z.conf\n`]);
  assert.equal(after.service.flushMs, 2000);
});

test("files that include one another in a circle are refused with the circle", () => {
  assert.match(
    refused(
      ["a.conf", "@INCLUDE b.conf\n"],
      ["b.conf", "\n@INCLUDE c.conf\n"],
      ["c.conf", "@INCLUDE a.conf\n"],
    ),
    /c\.conf:1:1: Files include one another in a circle: a\.conf > b\.conf > c\.conf > a\.conf/,
  );
  assert.match(refused(["a.conf", "@INCLUDE a.conf\n"]), /a\.conf > a\.conf/);
});

const outside: readonly (readonly [path: string, said: RegExp])[] = [
  ["/etc/fluent-bit/parsers.conf", /"\/etc\/fluent-bit\/parsers\.conf" is no file of this bundle/],
  ["../b.conf", /"\.\.\/b\.conf" is no file of this bundle/],
  ["missing.conf", /only its own files can be included, and there are b\.conf/],
  ["${FILE}.conf", /has a variable in it/],
  ["layers/team-payments/x.conf", /is no file of this bundle/],
];
for (const [path, said] of outside) {
  test(`"@INCLUDE ${path}" is refused, as it leads out of the files that belong together`, () => {
    const files = [
      ["a.conf", `@INCLUDE ${path}\n`],
      ["b.conf", modify("b")],
      ["layers/team-payments/x.conf", modify("x")],
    ] as const;
    assert.match(refused(...files), said);
  });
}

test("a layer includes its own files and still comes after the base", () => {
  const config = accepted(
    ["base.conf", modify("base")],
    ["layers/team-payments/a.conf", "@INCLUDE b.conf\n"],
    ["layers/team-payments/b.conf", modify("layer")],
  );
  assert.equal(aliases(config), "base,layer");
  assert.match(
    refused(["base.conf", modify("base")], ["layers/team-payments/a.conf", "@INCLUDE ../../base.conf\n"]),
    /is no file of this bundle/,
  );
});

const sections: readonly (readonly [content: string, said: RegExp])[] = [
  ["multiline_parsers:\n  - name: x\n", /Section "multiline_parsers" is not supported: a line is a record/],
  ["upstream_servers:\n  - name: x\n", /"upstream_servers" is not supported: give each destination/],
  ["plugins:\n  - /x.so\n", /"plugins" is not supported: nothing can be loaded/],
  ["stream_processor:\n  - name: x\n", /"stream_processor" is not supported: use filters/],
  ["customs:\n  - name: calyptia\n", /"customs" is not supported/],
  ["[MULTILINE_PARSER]\n name x\n", /Section \[MULTILINE_PARSER\] is not supported: a line is a record/],
  ["[STREAM_TASK]\n name x\n", /\[STREAM_TASK\] is not supported: use filters/],
  ["[UPSTREAM]\n name x\n", /\[UPSTREAM\] is not supported: give each destination/],
  [
    "[SERVICE]\n streams_file x.conf\n",
    /Option "streams_file" of the service section is not supported: use filters/,
  ],
  ["[SERVICE]\n plugins_file x.conf\n", /Option "plugins_file" of the service section is not supported/],
  [
    "pipeline:\n  inputs:\n    - name: tail\n      path: /a\n      processors:\n        logs:\n          - name: content_modifier\n",
    /:5:7: "processors" is not supported: write them as filters/,
  ],
];
for (const [content, said] of sections) {
  test(`${JSON.stringify(content.slice(0, 40))} is refused by name, with what to use instead`, () => {
    assert.match(refused([content.startsWith("[") ? "a.conf" : "a.yaml", content]), said);
  });
}

test("every documented key of the service section may be written, in its nested form, too", () => {
  const config = accepted([
    "a.yaml",
    `service:
  flush: 2
  log_file: /x
  dns.mode: TCP
  coro_stack_size: 24576
  json.escape_unicode: off
  security.fips_mode: off
  hot_reload.timeout: 3
  flush.adaptive: on
  storage:
    path: /x
    backlog:
      mem_limit: 5M
      flush_on_shutdown: on
  telemetry:
    metrics: { logs: { tag_records: { enabled: true, max_series: 2 } } }
`,
  ]);
  assert.equal(config.service.flushMs, 2000);
});

test("variables are set in the order in which they stand, between the options of a section, too", () => {
  const config = accepted(
    ["a.conf", "@SET A=/logs\n[INPUT]\n Name tail\n@SET B=${A}/b\n Path ${B}\n@INCLUDE b.conf\n Tag audit\n"],
    ["b.conf", modify("b")],
  );
  const [input] = config.inputs;
  assert.ok(input?.plugin === "tail");
  assert.deepEqual(input.paths, ["/logs/b"]);
  assert.equal(input.tag, "audit");
});

/** Pieces of both formats, so that what is made of them gets past the first line. */
const piece = fc.oneof(
  fc.constantFrom(
    ..."[INPUT]|[FILTER]|[OUTPUT]|[SERVICE]|[PARSER]|@SET A=${A}|@INCLUDE *.conf|@INCLUDE b.yaml|pipeline:|  inputs:|  filters:".split(
      "|",
    ),
    ..."    - name: modify|      add: ${A} b|  Name tail|  Name grep|  Name mask|  Match *|  Path /a|includes:|  - a.conf|env:|  A: ${A}${B}|  B: ${A}".split(
      "|",
    ),
    ..."  Regex $a['b'] (|  Condition Key_exists $[|  field a.*|  Set a|service: {flush: 1|  storage: {a: {b: c}}|\t|\u0000|é".split(
      "|",
    ),
  ),
  fc.string({ maxLength: 30 }),
);
const content = fc.array(piece, { maxLength: 25 }).map((lines) => lines.join("\n"));

test("whatever the files hold, reading them ends in a config or in problems with a place", () => {
  fc.assert(
    fc.property(content, content, fc.constantFrom("a.conf", "a.yaml", "a"), (first, second, name) => {
      const files = [
        { name, content: first },
        { name: "b.yaml", content: second },
      ];
      const parsed = parseShipperConfig(files, facts);
      if (parsed.ok) return;
      assert.ok(parsed.problems.length > 0 && parsed.problems.length <= 201);
      for (const { file, line, column, message } of parsed.problems) {
        const source = files.find((one) => one.name === file)?.content ?? assert.fail(`no file ${file}`);
        assert.ok(
          line >= 1 && line <= source.split("\n").length + 1 && column >= 1,
          `${file}:${line}:${column}`,
        );
        assert.ok(message.length > 0 && message.length < 70_000);
      }
    }),
    { numRuns: 1500 },
  );
});
