import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { compileCondition, Slots } from "./compile.ts";
import { createDetector, type Detection, type Detector } from "./detector.ts";
import { findEvents } from "./ingest.ts";
import { JsonTape } from "./json/tape.ts";
import { LiveEvent } from "./live-event.ts";
import { loadRules } from "./load.ts";
import { decodedTime, isPlainTime } from "./plain-time.ts";
import { parseTime } from "./time.ts";

const conditions = [
  "ka.verb in (create, get) and ka.target.resource = pods and not ka.target.subresource exists",
  'ka.user.name startswith "system:" and ka.stage = ResponseComplete',
  "ka.user.groups intersects (admins) or ka.response.code in (403, 200)",
  'jevt.value[/requestObject] icontains "SECRET" and not ka.verb = get',
  "ka.uri.param[a] = b or evt.num > 3",
  'ka.target.name = "é" or ka.target.name contains "\\n"',
  "ka.verb exists or jevt.value[/verb] exists",
  'ka.verb != get and ka.stage != "é" and ka.target.name != ""',
  "ka.verb in ('é', 'a\\nb', '/', 403, '') or ka.stage in ('\ud83d\ude00', x, null, '[]', '{}')",
  'ka.target.name startswith "é" or ka.stage startswith "a\\n" or ka.verb startswith 4 or ka.verb startswith ""',
  "ka.user.name = anyof (403, true, null) or ka.verb glob '?' or ka.verb glob '[!a-z]*'",
  "ka.user.groups in (admins, get, 'é', '403') or len(ka.user.groups) = 2",
  "ka.req.pod.containers.image intersects (x, get) or ka.req.pod.containers.image[1] exists",
  "ka.req.pod.containers.privileged intersects (true) or ka.req.container.privileged = false",
  "ka.req.pod.volumes.hostpath exists or ka.req.pod.host_network = true or ka.req.pod.containers.command exists",
  "json.value[/user/groups/0] = admins or json.value[user] contains groups or json.value[/a~1b] exists",
  "ka.target.pod.name exists or ka.resp.name exists or ka.auth.reason exists or ka.sourceips exists",
  "ka.verb = val(ka.stage) or toupper(ka.verb) = GET or b64(ka.target.name) exists or basename(ka.uri) = b",
  "ka.req.role.rules.verbs intersects (get) or ka.req.configmap.obj contains '\"' or ka.req.service.ports exists",
  "evt.rawtime >= 1704164645678901000 and evt.time.s exists and evt.reltime = 0",
];

const rules = conditions.map((condition, i) => ({
  rule: `${i}`,
  desc: "d",
  condition,
  output:
    "%ka.user.name %3ka.uri %jevt.value[/requestObject] %evt.datetime %evt.reltime %ka.user.groups %evt.plugininfo %ka.req.pod.containers.image %ka.req.role.rules %7ka.verb",
  priority: "INFO",
  source: "k8s_audit",
}));
const report = loadRules([{ name: "r", content: JSON.stringify(rules) }]);
assert.ok(report.ok, JSON.stringify(report.results));

const detector = (): Detector => createDetector(report.ruleset, { hostname: "h", ruleMatching: "all" });

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
    "",
    "YQ==",
    "get\0x",
    "\0",
    '"\\/\b',
    "\ud83d",
    "\ude00\ud83d",
    "\u007f\u0080\u2028",
    "x".repeat(40),
  ),
  fc.string({ unit: "binary", maxLength: 8 }),
);
/** What the API server never writes where a text should be. */
const odd = fc.constantFrom(null, true, 403, -0, 1e21, 1.5, [], {}, ["get"], { get: "get" }, [[]]);
const given = fc.oneof({ weight: 6, arbitrary: text }, { weight: 1, arbitrary: odd });
const times = fc.constantFrom(
  "2024-01-02T03:04:05.678901Z",
  "2024-02-31T03:04:05Z",
  "2024-12-31T23:59:59.1+01:00",
  "2024-01-02T03:04:05.Z",
  "2024-01-02T3:04:05Z",
  "2024-01-02T03:04:05,5Z",
  "2024-01-02T03:04:05Z\0",
  "never",
  null,
  7,
);
const container = fc.record(
  {
    name: given,
    image: given,
    command: fc.oneof(fc.array(given, { maxLength: 3 }), odd),
    ports: fc.oneof(fc.array(fc.record({ hostPort: given }, { requiredKeys: [] }), { maxLength: 2 }), odd),
    securityContext: fc.oneof(fc.record({ privileged: fc.oneof(fc.boolean(), odd) }), odd),
  },
  { requiredKeys: [] },
);
const lists = <T>(item: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 4, arbitrary: fc.array(item, { maxLength: 3 }) }, odd);
const body = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.record(
    {
      spec: fc.record(
        {
          containers: lists(fc.oneof({ weight: 5, arbitrary: container }, odd)),
          volumes: lists(fc.record({ hostPath: fc.record({ path: given }) }, { requiredKeys: [] })),
          hostNetwork: fc.oneof(fc.boolean(), odd),
          ports: lists(given),
        },
        { requiredKeys: [] },
      ),
      rules: lists(fc.record({ verbs: lists(given) })),
      data: fc.dictionary(text, given, { maxKeys: 2 }),
      metadata: fc.record({ name: given }),
    },
    { requiredKeys: [] },
  ),
);
const audit = fc.record(
  {
    kind: fc.constantFrom("Event", "Event", "Event", "Event", "EventList", "Pod", "Event\0"),
    auditID: given,
    verb: given,
    stage: given,
    requestURI: given,
    user: fc.oneof(fc.record({ username: given, groups: lists(given) }, { requiredKeys: [] }), odd),
    objectRef: fc.oneof(
      fc.record({ resource: given, subresource: given, name: given }, { requiredKeys: ["resource"] }),
      odd,
    ),
    responseStatus: fc.record({ code: fc.oneof(fc.constantFrom(200, 403, 404), odd) }),
    requestObject: body,
    responseObject: body,
    annotations: fc.dictionary(fc.constantFrom("authorization.k8s.io/reason", "x"), given),
    sourceIPs: lists(given),
    "a/b": given,
    stageTimestamp: fc.oneof({ weight: 8, arbitrary: fc.constant("2024-01-02T03:04:05.678901Z") }, times),
  },
  { requiredKeys: ["kind", "stageTimestamp"] },
);

/** Writes an event as no API server would: blanks, repeated and escaped keys, odd numbers, deep bodies, raw control characters. */
const written = fc
  .tuple(
    audit,
    audit,
    fc.constantFrom("plain", "plain", "pretty", "repeated", "escaped", "solidus", "numbers", "deep", "raw"),
    fc.integer({ min: 297, max: 301 }),
  )
  .map(([one, two, how, depth]) => {
    const json = JSON.stringify(one);
    switch (how) {
      case "pretty":
        return JSON.stringify(one, null, 1).replaceAll("\n", "\r");
      case "repeated":
        return `${json.slice(0, -1)},${JSON.stringify(two).slice(1)}`;
      case "escaped":
        return json.replaceAll("a", "\\u0061");
      case "solidus":
        return json.replaceAll("/", "\\/").replaceAll("e", "\\u0065");
      case "numbers":
        return json.replaceAll("403", "4.03e2").replaceAll("200", "200.0");
      case "deep":
        return `${json.slice(0, -1)},"deep":${"[".repeat(depth)}${"]".repeat(depth)}}`;
      case "raw":
        return json.replaceAll(/\\u00([01].)|\\n/g, (_, code: string | undefined) =>
          String.fromCharCode(Number.parseInt(code ?? "0a", 16)),
        );
      case "plain":
        return json;
    }
  });
/** An event in the envelope of a cloud. */
const wrapped = fc.tuple(written, fc.constantFrom("eks", "gke", "aks", "aks-object")).map(([json, kind]) => {
  if (kind === "eks") return JSON.stringify({ logEvents: [{ timestamp: 1, message: json }] });
  if (kind === "gke") return JSON.stringify({ logName: "x", textPayload: json });
  if (kind === "aks") {
    return JSON.stringify({ records: [{ category: "kube-audit", properties: { log: json } }] });
  }
  return `{"category":"kube-audit","properties":{"log":${json}}}`;
});
const line = fc.oneof(
  { weight: 9, arbitrary: written },
  { weight: 1, arbitrary: wrapped },
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
    fc.property(fc.array(fc.tuple(line, damage), { minLength: 1, maxLength: 5 }), (all) => {
      const [inText, inBytes] = [detector(), detector()];
      const lines = all.map(([one, hurt]) => {
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

/** What each condition means when its parts are simply tried as they are written, without an index. */
function meaning(): (line: string) => readonly string[] {
  const tape = new JsonTape();
  const event = new LiveEvent(tape, { hostname: "h", utcOffsetSeconds: 0 });
  const slots = new Slots();
  const tests = report.ruleset.compiled.map(({ condition }) => compileCondition(condition, slots, "fixed"));
  const frame = { event, stamp: 0, values: [], stamps: [] };
  return (line) =>
    findEvents(tape, tape.parse(line), Number.MAX_SAFE_INTEGER).events.flatMap(({ root, timeNs }) => {
      event.take(tape, root, timeNs);
      frame.stamp++;
      return tests.flatMap((holds, i) => (holds(frame) ? [`${i}`] : []));
    });
}

test("rules find together what each condition means, whatever an event holds", () => {
  fc.assert(
    fc.property(fc.array(written, { minLength: 1, maxLength: 5 }), (lines) => {
      const [together, alone] = [detector(), meaning()];
      for (const one of lines) {
        const { alerts, problems } = together.detect(one);
        if (problems.some((problem) => problem.startsWith("cannot parse JSON"))) continue;
        assert.deepEqual(
          alerts.map(({ rule }) => rule),
          alone(one),
        );
      }
    }),
    { numRuns: 300 },
  );
});

test("an event that raises no alert leaves nothing behind, not even its result", () => {
  const one = detector();
  const bytes = Buffer.from('{"kind":"Event","stageTimestamp":"2024-01-02T03:04:05Z"}');
  const miss = one.detectBytes(bytes, 0, bytes.length);
  assert.deepEqual(miss, { alerts: [], events: 1, problems: [] });
  assert.equal(one.detectBytes(bytes, 0, bytes.length), miss);
});

test("a time that is taken for plain is the time that it is for everybody", () => {
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
          assert.equal(decodedTime(bytes.toString()), parseTime(bytes.toString()), bytes.toString());
        }
      },
    ),
    { numRuns: 3000 },
  );
  const usual = Buffer.from("2024-01-02T03:04:05.678901Z");
  assert.ok(isPlainTime(usual, 0, usual.length));
});
