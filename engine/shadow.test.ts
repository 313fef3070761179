import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { createDetector, type DetectorOptions } from "./detector.ts";
import { loadRules } from "./load.ts";
import type { RuleSet } from "./ruleset.ts";

function load(conditions: readonly string[], output = "%ka.user.name %ka.target.name"): RuleSet {
  const rules = conditions.map((condition, i) => ({
    rule: `${i} ${condition}`,
    desc: "d",
    condition,
    output,
    priority: "INFO",
    source: "k8s_audit",
  }));
  const report = loadRules([{ name: "r", content: JSON.stringify(rules) }]);
  assert.ok(report.ok, JSON.stringify(report.results));
  return report.ruleset;
}

const pool = [
  "ka.verb = get",
  "ka.verb in (create, delete)",
  "ka.target.resource = pods and ka.target.name exists",
  'ka.user.name startswith "sys"',
  "not ka.target.subresource exists and ka.verb != get",
  "ka.verb exists and ka.target.namespace = a",
  'jevt.value[/requestObject] contains "x"',
];
const conditions = fc.uniqueArray(fc.constantFrom(...pool), { minLength: 1, maxLength: 5 });
const event = fc
  .record({
    verb: fc.constantFrom("get", "create", "delete", "list"),
    user: fc.record({ username: fc.constantFrom("system:x", "alice") }),
    objectRef: fc.record(
      {
        resource: fc.constantFrom("pods", "secrets"),
        namespace: fc.constantFrom("a", "b"),
        name: fc.string(),
      },
      { requiredKeys: ["resource"] },
    ),
    requestObject: fc.constantFrom("x", "y"),
  })
  .map((some) => ({
    kind: "Event",
    auditID: "a",
    stage: "ResponseComplete",
    stageTimestamp: "2024-01-02T03:04:05.678901Z",
    ...some,
  }));
const line = fc.oneof(
  { weight: 5, arbitrary: event.map((one) => JSON.stringify(one)) },
  {
    weight: 1,
    arbitrary: fc.array(event, { maxLength: 3 }).map((items) => JSON.stringify({ kind: "EventList", items })),
  },
  { weight: 1, arbitrary: fc.constantFrom("", "{", "[]", "7") },
);

test("what runs detects the same with a candidate beside it, and the candidate what it would detect alone", () => {
  fc.assert(
    fc.property(
      conditions,
      conditions,
      fc.array(line, { maxLength: 12 }),
      fc.constantFrom("first", "all"),
      (now, next, lines, ruleMatching) => {
        const options: DetectorOptions = { hostname: "h", ruleMatching };
        const [running, candidate] = [load(now), load(next, "%ka.verb by %ka.user.name")];
        const [alone, other, both] = [running, candidate, running].map((rules) =>
          createDetector(rules, options),
        );
        assert.ok(alone && other && both);
        const seen: string[] = [];
        const kept: string[] = [];
        both.shadow(candidate, (alerts, then) => {
          kept.push(...alerts.map(({ body }) => body));
          seen.push(...then().matches.map((match) => match.write().body));
        });
        for (const one of lines) {
          const bytes = Buffer.from(one);
          const found = both.detectBytes(bytes, 0, bytes.length);
          assert.deepEqual(found, alone.detectBytes(bytes, 0, bytes.length));
          assert.deepEqual(
            kept.splice(0),
            found.alerts.map(({ body }) => body),
          );
          assert.deepEqual(
            seen.splice(0),
            other.detectBytes(bytes, 0, bytes.length).alerts.map(({ body }) => body),
          );
        }
      },
    ),
    { numRuns: 60 },
  );
});

test("a shadow that ended, or is not asked, evaluates nothing", () => {
  const detector = createDetector(load(["ka.verb = get"]), { hostname: "h" });
  const text = `{"kind":"Event","auditID":"a","verb":"get","stageTimestamp":"2024-01-02T03:04:05Z"}`;
  let told = 0;
  detector.shadow(load(["ka.verb exists"]), () => (told += 1));
  assert.equal(detector.detect(text).alerts.length, 1);
  detector.endShadow();
  assert.equal(detector.detect(text).alerts.length, 1);
  assert.equal(told, 1);
});

test("what is hidden is hidden in the candidate's alerts, too, whichever events came before", () => {
  const detector = createDetector(load(["ka.verb = get"]), { hostname: "h" });
  const samples: string[] = [];
  detector.shadow(load(["ka.verb exists"]), (_alerts, then) => {
    samples.push(...then().matches.map((match) => match.write().output));
  });
  const raw = (name: string, more: string) =>
    `{"kind":"Event","auditID":"a",${more}"verb":"list","stageTimestamp":"2024-01-02T03:04:05Z","user":{"username":"alice"},"objectRef":{"name":"${name}"}}`;
  const hidden = (text: string) => text.replace("alice", "****");
  for (const text of [raw("one", ""), raw("two", '"requestURI":"/x","level":"Metadata",')]) {
    const both = Buffer.from(`${text}\n${hidden(text)}`);
    const shown = { start: Buffer.byteLength(text) + 1, end: both.length };
    detector.detectBytes(both, 0, Buffer.byteLength(text), shown);
  }
  assert.deepEqual(
    samples.map((text) => text.slice(text.indexOf("****"))),
    ["**** one", "**** two"],
  );
});

test("alerts over events that come one after the other with hidden values show the values of their own event", () => {
  const detector = createDetector(load(["ka.verb = list"]), { hostname: "h" });
  const raw = (name: string, more: string) =>
    `{"kind":"Event","auditID":"a",${more}"verb":"list","stageTimestamp":"2024-01-02T03:04:05Z","user":{"username":"bob"},"objectRef":{"name":"${name}"}}`;
  const outputs = [raw("one", ""), raw("two", '"requestURI":"/x","level":"Metadata",')].flatMap((text) => {
    const both = Buffer.from(`${text}\n${text}`);
    const { length } = Buffer.from(text);
    return detector.detectBytes(both, 0, length, { start: length + 1, end: both.length }).alerts;
  });
  assert.deepEqual(
    outputs.map(({ output }) => output.slice(output.indexOf("bob"))),
    ["bob one", "bob two"],
  );
});
