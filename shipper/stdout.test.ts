import assert from "node:assert/strict";
import { test } from "node:test";
import { parseShipperConfig, renderProblems } from "./index.ts";

function read(options: string) {
  const content = `[INPUT]\n Name tail\n Tag a\n Path /var/log/a\n[OUTPUT]\n Name stdout\n Match *\n${options}`;
  return parseShipperConfig([{ name: "a.conf", content }], {});
}

test("stdout takes the JSON formats of Fluent Bit, with its date key", () => {
  for (const format of ["json_lines", "json", "json_stream"] as const) {
    const parsed = read(` Format ${format}\n`);
    assert.ok(parsed.ok);
    const [output] = parsed.config.outputs;
    assert.ok(output?.plugin === "stdout");
    assert.deepEqual([output.format, output.dateKey, output.dateFormat], [format, "date", "double"]);
  }
});

test("stdout's print of msgpack is refused, written or meant by saying nothing", () => {
  for (const [options, expected] of [
    ["", /a\.conf:5:1: "format" is missing: write "format json_lines"/],
    [" Format msgpack\n", /a\.conf:8:2: "format msgpack" is not supported: write "format json_lines"/],
  ] as const) {
    const parsed = read(options);
    assert.ok(!parsed.ok);
    assert.match(renderProblems(parsed.problems), expected);
  }
});
