import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { createDetector } from "./detector.ts";
import { loadRules } from "./load.ts";
import { parseOutput } from "./output.ts";

const event = {
  kind: "Event",
  auditID: "id",
  verb: "create",
  stageTimestamp: "2024-01-02T03:04:05.000000007Z",
  requestURI: "/x?a=1",
  user: { username: "alice", groups: ["g1", "g2"] },
  responseStatus: { code: 403, reason: null },
};

function print(output: string, given: unknown = event): string | undefined {
  const rule = {
    rule: "r",
    desc: "d",
    condition: "evt.num > 0",
    output,
    priority: "INFO",
    source: "k8s_audit",
  };
  const { ruleset } = loadRules([{ name: "r", content: JSON.stringify([rule]) }]);
  const [alert] = createDetector(ruleset, { hostname: "h" }).detect(JSON.stringify(given)).alerts;
  return alert?.output.replace(/^.*?: Informational /, "");
}

const cases: readonly [string, string][] = [
  ["%ka.user.names", "alices"],
  ["(%ka.verb)", "(create)"],
  ["%ka.uri.param", "/x?a=1.param"],
  ["%ka.uri.param[a]%ka.verb", "1create"],
  ["|%8ka.verb|%3ka.verb|", "|create  |cre|"],
  ["%ka.user.groups", "(g1,g2)"],
  ["%ka.response.code %ka.response.reason %ka.impuser.name", "403 null <NA>"],
  ["*%toupper(ka.verb)%len(ka.user.groups)", "CREATE2"],
  ["%evt.time %evt.rawtime.ns %evt.is_async", "03:04:05.000000007 000000007 false"],
  ["%evt.time.iso8601", "2024-01-02T03:04:05.000000007+0000"],
  ["%json.value[/user]", '{"username":"alice","groups":["g1","g2"]}'],
];
for (const [output, want] of cases) {
  test(`output "${output}" prints ${want}`, () => assert.equal(print(output), want));
}

test("a long list is cut at 1023 bytes, not inside a character", () => {
  const groups = Array.from({ length: 400 }, () => "éé");
  const text = print("%ka.user.groups", { ...event, user: { groups } }) ?? "";
  const bytes = Buffer.byteLength(text);
  assert.ok(bytes <= 1023 && bytes > 1020 && text.isWellFormed(), `${bytes} bytes`);
});

test("an output that can not be printed is refused at load, with what stands there", () => {
  const message = (text: string): string | false => {
    const outcome = parseOutput(text, "fixed");
    return !outcome.ok && outcome.message;
  };
  assert.match(message("100% done") || "", /^unknown filter: .*no field starts at ' done'/);
  assert.match(message("%nope.x y") || "", /^unknown filter: .*no field starts at 'nope.x y'/);
  assert.match(message("x %") || "", /^invalid formatting syntax: formatting cannot end with a %/);
  assert.match(message("%99999ka.verb") || "", /^invalid formatting syntax: a width of 99999/);
  assert.match(message("%tolower(evt.num)") || "", /transformer 'tolower' does not take 'evt.num'/);
});

test("parseOutput() never throws, whatever the text", () => {
  const piece = fc.constantFrom(
    "%",
    "*",
    "[",
    "]",
    "(",
    ")",
    "9",
    "ka.verb",
    "ka.uri.param",
    "tolower(",
    "join(",
    ",",
    "'",
    " ",
  );
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(piece, { maxLength: 20 }).map((pieces) => pieces.join("")),
  );
  fc.assert(
    fc.property(text, (output) => void parseOutput(output, "fixed")),
    { numRuns: 1000 },
  );
});
