import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type AppendOutput, createDetector, type DetectorOptions } from "#engine";
import { event, load, outcomes, rule } from "./language.ts";

interface Given {
  readonly parts?: Readonly<Record<string, unknown>>;
  readonly event?: unknown;
  readonly options?: Partial<DetectorOptions>;
  readonly appendOutput?: readonly AppendOutput[];
}

function alertOf({ parts = {}, event: given = event, options = {}, appendOutput = [] }: Given) {
  const report = load([rule(parts)], { appendOutput });
  assert.deepEqual(outcomes(report), ["ok"]);
  const [alert] = createDetector(report.ruleset, { hostname: "node-1", ...options }).detect(
    JSON.stringify(given),
  ).alerts;
  assert.ok(alert !== undefined, "the rule fires");
  return alert;
}

const front = "03:04:05.678901000: Informational ";

/** An output and the text it prints, without time and priority. */
const printed: readonly (readonly [string, string])[] = [
  ["plain", "plain"],
  ["%ka.user.name)", "Alice)"],
  ["%ka.user.names", "Alices"],
  ["%ka.uri.param[command]", "/bin/sh"],
  ["%ka.impuser.name", "<NA>"],
  ["*%ka.impuser.name", "<NA>"],
  ["%3ka.user.name|%8ka.user.name|", "Ali|Alice   |"],
  ["%tolower(ka.user.name)", "alice"],
  ["%len(ka.user.groups)", "2"],
  ["%join('+', ka.user.groups)", "g1+g2"],
  ["%ka.user.groups", "(g1,g2)"],
  ["%ka.response.code", "403"],
  ["%evt.time.iso8601", "2024-01-02T03:04:05.678901000+0000"],
  ["%evt.num", "1"],
  ["a %container.info b", "a  b"],
  ['%ka.uri.param["command"]', "/bin/sh"],
  ["%ka.uri.param['command']]", "/bin/sh]"],
  ["%ka.uri.param[a b]", `${event.requestURI}.param[a b]`],
  ["%ka.uri.param[]", `${event.requestURI}.param[]`],
  ["%ka.uri.params[command]", `${event.requestURI}.params[command]`],
  ["%ka.user.groups[0]", "(g1,g2)[0]"],
  ["%ka.req.pod.containers.image[0]", "(x:1)"],
  ["%ka.req.pod.containers.image[x]", "(x:1)[x]"],
  ["%ka.req.pod.containers.image[", "(x:1)["],
  ["%ka.user.name[x]", "Alice[x]"],
  ["%ka.user.name.", "Alice."],
  ["%tolower(ka.user.name)[x]", "alice[x]"],
  ["%tolower(ka.user.name)[]", "alice[]"],
  ["%getopt(('-u', 'x'), 'u:')[u]", "x"],
  ["%getopt(('-u', 'x'), 'u:')", "(u,x)"],
  ["%getopt(('x'), 'u:')", "()"],
  ["%0ka.user.name|", "Alice|"],
  ["%05ka.user.name|", "Alice|"],
  ["%007ka.user.name|", "Alice  |"],
  ["%3ka.impuser.name|", "<NA|"],
  ["%4tolower(ka.user.name)|", "alic|"],
  ["%9ka.user.groups|", "(g1,g2)  |"],
];
describe("what an output prints", () => {
  for (const [output, want] of printed) {
    test(`"${output}" prints "${want}"`, () =>
      assert.equal(alertOf({ parts: { output } }).output, front + want));
  }
});

describe("an output is refused", () => {
  for (const output of [
    "100% sure",
    "%",
    "x %",
    "%nope.field",
    "%%ka.verb",
    "%proc.name",
    "%10",
    "%tolower(ka.user.name",
    "%tolower(ka.user.nope)",
    "%val(ka.user.name)",
    "%ka.uri.param[x",
  ]) {
    const want = output === "%ka.uri.param[x" ? "ok" : "LOAD_ERR_COMPILE_OUTPUT";
    test(`"${output}": ${want}`, () => {
      const [found = ""] = outcomes(load([rule({ output })]));
      assert.equal(found.split(":")[0], want);
    });
  }
});

test("an alert's JSON has Falco's members in alphabetical order on one line", () => {
  const { body, time } = alertOf({
    parts: { output: "%ka.impuser.name %ka.user.groups %evt.num", tags: ["z", "a"] },
  });
  assert.equal(
    body,
    `{"hostname":"node-1","output":"${front}<NA> (g1,g2) 1","output_fields":{"evt.num":1,"evt.time":1704164645678901000,` +
      '"ka.impuser.name":null,"ka.user.groups":["g1","g2"]},"priority":"Informational","rule":"r","source":"k8s_audit",' +
      '"tags":["a","z"],"time":"2024-01-02T03:04:05.678901000Z"}',
  );
  assert.equal(time, "2024-01-02T03:04:05.678901000Z");
});

for (const [written, printed, what] of [
  ["a\\ud800b", "a\\\\ud800b", "half a pair of units stays as it is written"],
  ["a\\udc00\\ud800b", "a\uFFFDb", "two units that are no pair are replaced"],
] as const) {
  test(`${what}, and the JSON of the alert stays whole`, () => {
    const line = JSON.stringify({ ...event, user: { username: "x" } }).replace('"x"', () => `"${written}"`);
    const report = load([rule({ output: "%ka.user.name" })]);
    const [alert] = createDetector(report.ruleset, { hostname: "h" }).detect(line).alerts;
    assert.ok(alert?.body.isWellFormed() === true && alert.body.includes(`"${printed}"`), alert?.body);
  });
}

test("for a transformer the fields in it are listed, not what it makes of them", () => {
  const { body } = alertOf({ parts: { output: "%tolower(ka.user.name)" } });
  assert.match(body, /"output_fields":\{"evt.time":\d+,"ka.user.name":"Alice"\}/);
});

test("a printed list is cut at 1023 bytes, in the JSON it is whole", () => {
  const groups = Array.from({ length: 500 }, (_, i) => `group-${i}`);
  const { output, body } = alertOf({
    parts: { output: "%ka.user.groups" },
    event: { ...event, user: { groups } },
  });
  assert.equal(Buffer.byteLength(output) - front.length, 1023);
  const { output_fields: fields } = JSON.parse(body) as { output_fields: Record<string, unknown> };
  assert.deepEqual(fields["ka.user.groups"], groups);
});

test("widths count bytes, and a character that is cut in two is replaced", () => {
  const printedOf = (output: string, username: string): string =>
    alertOf({
      parts: { output },
      event: { ...event, user: { username, groups: ["", "a", "", username] } },
    }).output.slice(front.length);
  assert.equal(printedOf("%4ka.user.name|", "\u00e4"), "\u00e4  |");
  assert.equal(printedOf("%3ka.user.name|", "\u00e4\u00e4"), "\u00e4\ufffd|");
  assert.equal(printedOf("%1ka.user.name|", "\u{1f600}"), "\ufffd|");
  assert.equal(
    printedOf("%ka.user.groups|", "b"),
    "(a,,b)|",
    "no comma before the first text that is not empty",
  );
});

test("appended text and fields are put behind what the rule says", () => {
  const appendOutput = [
    {
      match: { tags: ["t"] },
      extraOutput: "(%ka.verb)",
      extraFields: ["ka.stage", { who: "<%ka.user.name>" }],
    },
  ];
  const { output, body } = alertOf({ parts: { tags: ["t", "u"] }, appendOutput });
  assert.equal(output, `${front}o (create)`);
  assert.match(body, /"evt.time":\d+,"ka.stage":"ResponseComplete","ka.verb":"create","who":"<Alice>"\}/);
  assert.equal(alertOf({ parts: { tags: ["u"] }, appendOutput }).output, `${front}o`);
});

test("with ISO times the line starts with one, and it is listed in place of the time of day", () => {
  const { output, body } = alertOf({ options: { format: { timeFormatIso8601: true } } });
  assert.equal(output, "2024-01-02T03:04:05.678901000+0000: Informational o");
  assert.match(body, /"output_fields":\{"evt.time.iso8601":1704164645678901000\}/);
});
