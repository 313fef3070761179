import assert from "node:assert/strict";
import { test } from "node:test";
import type { FileConfig } from "./index.ts";
import { parseShipperConfig, renderProblems } from "./index.ts";

const input = "[INPUT]\n Name tail\n Tag audit\n Path /var/log/a\n";

function read(options: string) {
  const content = `${input}[OUTPUT]\n Name file\n Match *\n Path /var/out\n${options}`;
  return parseShipperConfig([{ name: "a.conf", content }], {});
}

function accepted(options: string): FileConfig {
  const parsed = read(options);
  assert.ok(parsed.ok, parsed.ok ? "" : renderProblems(parsed.problems));
  const [output] = parsed.config.outputs;
  assert.ok(output?.plugin === "file");
  return output;
}

test("file without a format writes Fluent Bit's own, makes its folder and never rotates", () => {
  const { format, mkdir, sync, rotation } = accepted("");
  assert.deepEqual({ format, mkdir, sync }, { format: "out_file", mkdir: true, sync: "normal" });
  const never = { bytesMax: undefined, intervalMs: undefined, keep: undefined, compress: false };
  assert.deepEqual(rotation, never);
});

test("rotation by size and time is read in Fluent Bit's units", () => {
  const { rotation, sync } = accepted(
    " Rotate_Size 100M\n Rotate_Interval 1d\n Rotate_Keep 14\n Rotate_Compress gzip\n Sync full\n",
  );
  assert.deepEqual(rotation, { bytesMax: 100e6, intervalMs: 86_400_000, keep: 14, compress: true });
  assert.equal(sync, "full");
});

test("rotate_keep all removes nothing", () => {
  assert.equal(accepted(" Rotate_Size 1M\n Rotate_Keep all\n").rotation.keep, undefined);
});

for (const [what, options, expected] of [
  ["csv", " Format csv\n", /a\.conf:9:2: "format csv" is not supported.*"format plain"/],
  ["ltsv", " Format ltsv\n", /"format ltsv" is not supported/],
  ["template", " Format template\n", /"format template" is not supported/],
  ["msgpack", " Format msgpack\n", /"format msgpack" is not supported/],
  ["an unknown format", " Format xml\n", /"format" is "xml" and has to be out_file, plain/],
  ["a size that rotates at every record", " Rotate_Size 10\n", /"rotate_size" is "10"/],
  ["keeping what is never rotated", " Rotate_Keep 3\n", /"rotate_keep" has no effect: add "rotate_size/],
  ["keeping no file", " Rotate_Size 1M\n Rotate_Keep 0\n", /"rotate_keep" is "0"/],
  ["a name with a folder in it", " File ../a\n", /has to be a plain file name/],
] as const) {
  test(`file: ${what} is refused with its place`, () => {
    const parsed = read(options);
    assert.ok(!parsed.ok, "the config was accepted");
    assert.match(renderProblems(parsed.problems), expected);
  });
}
