import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { createDetector, type Detection, type Detector } from "./detector.ts";
import { loadRules } from "./load.ts";
import { isPlainTime } from "./plain-time.ts";
import { parseTime } from "./time.ts";

const conditions = [
  "ka.verb in (create, get) and ka.target.resource = pods and not ka.target.subresource exists",
  'ka.user.name startswith "system:" and ka.stage = ResponseComplete',
  "ka.user.groups intersects (admins) or ka.response.code in (403, 200)",
  'jevt.value[/requestObject] icontains "SECRET" and not ka.verb = get',
  "ka.uri.param[a] = b or evt.num > 3",
  'ka.target.name = "é" or ka.target.name contains "\\n"',
  "ka.verb exists or jevt.value[/verb] exists",
];

function detector(): Detector {
  const items = conditions.map((condition, i) => ({
    rule: `${i}`,
    desc: "d",
    condition,
    output: "%ka.user.name %ka.uri %jevt.value[/requestObject] %evt.datetime %evt.reltime",
    priority: "INFO",
    source: "k8s_audit",
  }));
  const report = loadRules([{ name: "r", content: JSON.stringify(items) }]);
  assert.ok(report.ok, JSON.stringify(report.results));
  return createDetector(report.ruleset, { hostname: "h", ruleMatching: "all" });
}

const text = fc.oneof(
  fc.constantFrom(
    "get",
    "create",
    "pods",
    "ResponseComplete",
    "system:x",
    "admins",
    "é",
    "a\nb",
    "/x?a=b",
    "\ud83d\ude00",
    "sEcret",
  ),
  fc.string({ unit: "binary", maxLength: 8 }),
);
const times = fc.constantFrom(
  "2024-01-02T03:04:05.678901Z",
  "2024-02-31T03:04:05Z",
  "2024-12-31T23:59:59.1+01:00",
  "2024-01-02T03:04:05.Z",
  "never",
);
const audit = fc.record(
  {
    kind: fc.constantFrom("Event", "Event", "Event", "EventList", "Pod"),
    auditID: fc.constantFrom("1", "2"),
    verb: text,
    stage: text,
    requestURI: text,
    user: fc.record({ username: text, groups: fc.array(text, { maxLength: 3 }) }),
    objectRef: fc.record({ resource: text, subresource: text, name: text }, { requiredKeys: ["resource"] }),
    responseStatus: fc.record({ code: fc.constantFrom(200, 403, 404) }),
    requestObject: fc.jsonValue({ maxDepth: 2 }),
    stageTimestamp: fc.oneof({ weight: 8, arbitrary: fc.constant("2024-01-02T03:04:05.678901Z") }, times),
  },
  { requiredKeys: ["kind", "auditID", "stageTimestamp"] },
);

/** Writes an event as no API server would: blanks, repeated and escaped keys. */
const written = fc
  .tuple(audit, audit, fc.constantFrom("plain", "pretty", "repeated", "escaped"))
  .map(([one, two, how]) => {
    const json = JSON.stringify(one);
    if (how === "pretty") return JSON.stringify(one, null, 1).replaceAll("\n", "\r");
    if (how === "repeated") return `${json.slice(0, -1)},${JSON.stringify(two).slice(1)}`;
    return how === "escaped" ? json.replaceAll("a", "\\u0061") : json;
  });
const line = fc.oneof(
  { weight: 6, arbitrary: written },
  { weight: 1, arbitrary: fc.array(written, { maxLength: 3 }).map((all) => `[${all.join(",")}]`) },
  {
    weight: 1,
    arbitrary: fc
      .array(written, { maxLength: 3 })
      .map((all) => `{"kind":"EventList","items":[${all.join(",")}]}`),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom("", "  ", "\u00a0", "\ufeff{}", "nonsense", "{", '{"kind":"Event"}'),
  },
);

/** Cuts a piece out of a line, or puts bytes into it. */
const damage = fc.option(fc.tuple(fc.nat(), fc.nat({ max: 3 }), fc.uint8Array({ maxLength: 2 })), {
  freq: 2,
});

const plain = (detection: Detection): unknown => JSON.parse(JSON.stringify(detection));

test("detectBytes() finds what detect() finds, and has the same to say of what is damaged", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(line, damage), { minLength: 1, maxLength: 5 }), (given) => {
      const [inText, inBytes] = [detector(), detector()];
      const lines = given.map(([one, hurt]) => {
        const bytes = Buffer.from(one);
        if (hurt === null) return bytes;
        const at = hurt[0] % (bytes.length + 1);
        return Buffer.concat([bytes.subarray(0, at), hurt[2], bytes.subarray(at + hurt[1])]);
      });
      const file = Buffer.concat(lines.flatMap((one) => [one, Buffer.from("\n")]));
      let start = 0;
      for (const one of lines) {
        const found = inBytes.detectBytes(file, start, start + one.length);
        assert.deepEqual(plain(found), plain(inText.detect(one.toString())));
        start += one.length + 1;
      }
    }),
    { numRuns: 500 },
  );
});

test("an event that raises no alert leaves nothing behind, not even its result", () => {
  const one = detector();
  const bytes = Buffer.from('{"kind":"Event","stageTimestamp":"2024-01-02T03:04:05Z"}');
  const miss = one.detectBytes(bytes, 0, bytes.length);
  assert.deepEqual(miss, { alerts: [], events: 1, problems: [] });
  assert.equal(one.detectBytes(bytes, 0, bytes.length), miss);
});

test("a time that is taken for plain is a time", () => {
  const digits = fc.constantFrom(
    "00",
    "01",
    "09",
    "12",
    "13",
    "23",
    "24",
    "28",
    "29",
    "31",
    "59",
    "60",
    "6",
    "+1",
  );
  const parts = fc.tuple(
    digits,
    digits,
    digits,
    digits,
    digits,
    fc.constantFrom("", ".", ".1", ".123456789", ".1234567890", ",1"),
  );
  fc.assert(
    fc.property(
      parts,
      fc.constantFrom("Z", "z", "", "+00:00"),
      ([month, day, hour, minute, second, rest], zone) => {
        const bytes = Buffer.from(`2024-${month}-${day}T${hour}:${minute}:${second}${rest}${zone}`);
        if (isPlainTime(bytes, 0, bytes.length)) {
          assert.notEqual(parseTime(bytes.toString()), undefined, bytes.toString());
        }
      },
    ),
    { numRuns: 3000 },
  );
  const usual = Buffer.from("2024-01-02T03:04:05.678901Z");
  assert.ok(isPlainTime(usual, 0, usual.length));
});
