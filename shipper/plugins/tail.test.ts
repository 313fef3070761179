import assert from "node:assert/strict";
import { test } from "node:test";
import { parseShipperConfig, renderProblems } from "../index.ts";
import type { LineFormat, TailConfig } from "../index.ts";

function read(options: string, more = ""): TailConfig {
  const content = `${more}[INPUT]\n Name tail\n Path /var/log/a\n${options}\n`;
  const parsed = parseShipperConfig([{ name: "a.conf", content }], {});
  assert.ok(parsed.ok, parsed.ok ? "" : renderProblems(parsed.problems));
  return parsed.config.inputs[0] as TailConfig;
}

function refused(options: string, more = ""): string {
  const content = `${more}[INPUT]\n Name tail\n Path /var/log/a\n${options}\n`;
  const parsed = parseShipperConfig([{ name: "a.conf", content }], {});
  assert.ok(!parsed.ok, "the config is accepted");
  return renderProblems(parsed.problems);
}

const cri: LineFormat = { kind: "container", accepts: ["cri"], flagKey: "_p", textKey: "log" };
const formats: readonly (readonly [options: string, format: LineFormat])[] = [
  ["", { kind: "text", key: "log" }],
  [" Parser none\n Key line", { kind: "text", key: "line" }],
  [" Parser json", { kind: "json" }],
  [" Parser cri", { ...cri, flagKey: "logtag", textKey: "message" }],
  [" Parser docker", { ...cri, accepts: ["docker"] }],
  [" Parser auditd", { kind: "auditd" }],
  [" multiline.parser cri", cri],
  [" multiline.parser docker, cri", { ...cri, accepts: ["docker", "cri"] }],
];
for (const [options, format] of formats) {
  test(`tail with "${options.trim()}" reads lines as ${format.kind}`, () => {
    assert.deepEqual(read(options).format, format);
  });
}

test("a parser of the config with format json reads lines as JSON", () => {
  assert.deepEqual(read(" Parser mine", "[PARSER]\n Name mine\n Format json\n").format, { kind: "json" });
});

test("what is not supported is refused by name and place, with what is", () => {
  const regex = (name: string) => `[PARSER]\n Name ${name}\n Format regex\n Regex ^x$\n`;
  assert.match(
    refused(" Parser syslog"),
    /a\.conf:4:2: Parser "syslog" is not defined\. Defined parsers: json, cri/,
  );
  assert.match(
    refused(" Parser cri", regex("cri")),
    /a\.conf:3:2: Parser "cri" has a format that is not supported\..*"cri" is built in: leave this section out/,
  );
  assert.match(
    refused("", regex("mine")),
    /Supported formats: json\. Built in are json, cri, docker, auditd/,
  );
  assert.match(
    refused(" multiline.parser go, cri"),
    /a\.conf:4:2: "multiline\.parser" has "go", which is not supported\. Supported: cri, docker/,
  );
  assert.match(refused(" Parser json\n multiline.parser cri"), /exclude each other/);
});

test("the options of Fluent Bit's tail mean here what they mean there", () => {
  const config = read(
    " Exclude_Path *.gz,/var/log/b\n Path_Key file\n Offset_Key at\n Ignore_Older 2h\n Exit_On_Eof on\n" +
      " Read_Newly_Discovered_Files_From_Head off\n Refresh_Interval 7\n Rotate_Wait 9\n Truncate_Long_Lines on",
  );
  assert.deepEqual(config.excludePaths, ["*.gz", "/var/log/b"]);
  assert.deepEqual([config.pathKey, config.offsetKey, config.ignoreOlderMs], ["file", "at", 7_200_000]);
  assert.deepEqual([config.exitOnEof, config.newFilesFromHead], [true, false]);
  assert.deepEqual([config.refreshMs, config.rotateWaitMs], [7000, 9000]);
  const plain = read(" Ignore_Older 0");
  assert.deepEqual(
    [plain.ignoreOlderMs, plain.readFromHead, plain.newFilesFromHead],
    [undefined, true, true],
  );
});
