import assert from "node:assert/strict";
import { test } from "node:test";
import type { Alert, AlertFormat } from "./alert.ts";
import type { AppendOutput } from "./append-output.ts";
import { createDetector } from "./detector.ts";
import { loadRules, type LoadReport } from "./load.ts";

const event = {
  kind: "Event",
  auditID: "id-1",
  verb: "create",
  stageTimestamp: "2024-01-02T23:04:05.678901Z",
  user: { username: "alice", groups: ["a", "b"] },
};

function load(appendOutput: readonly AppendOutput[], parts: object = {}): LoadReport {
  const rule = {
    rule: "r",
    desc: "d",
    condition: "ka.verb = create",
    output: "by %ka.user.name",
    priority: "NOTICE",
    source: "k8s_audit",
    tags: ["t1", "t2"],
    ...parts,
  };
  return loadRules([{ name: "r.yaml", content: JSON.stringify([rule]) }], { appendOutput });
}

interface Options {
  readonly format?: AlertFormat;
  readonly utcOffsetSeconds?: number;
}

function alert(
  appendOutput: readonly AppendOutput[],
  options: Options = {},
  parts: object = {},
): Alert | undefined {
  const report = load(appendOutput, parts);
  assert.ok(report.ok, JSON.stringify(report.results[0]?.errors));
  return createDetector(report.ruleset, { hostname: "h", ...options }).detect(JSON.stringify(event))
    .alerts[0];
}

/** The alert's JSON without the digits that JSON.parse would round. */
function body(found: Alert | undefined): Readonly<Record<string, unknown>> {
  return JSON.parse(found?.body.replaceAll(/:(\d{17,})/g, ':"$1"') ?? "null") as Readonly<
    Record<string, unknown>
  >;
}

test("the ISO time stands in front of the line and among the fields in place of the time of day", () => {
  const found = alert([], { format: { timeFormatIso8601: true }, utcOffsetSeconds: 3600 });
  assert.equal(found?.output, "2024-01-02T23:04:05.678901000+0000: Notice by alice");
  assert.deepEqual(body(found)["output_fields"], {
    "evt.time.iso8601": "1704236645678901000",
    "ka.user.name": "alice",
  });
});

test("an alert's JSON holds only the parts that were asked for", () => {
  const all = ["hostname", "output", "output_fields", "priority", "rule", "source", "tags", "time"];
  const keys = (format: AlertFormat): readonly string[] => Object.keys(body(alert([], { format })));
  assert.deepEqual(keys({}), all);
  assert.deepEqual(keys({ jsonIncludeOutput: false }), all.toSpliced(1, 1));
  assert.deepEqual(keys({ jsonIncludeOutputFields: false }), all.toSpliced(2, 1));
  assert.deepEqual(keys({ jsonIncludeTags: false }), all.toSpliced(6, 1));
  assert.deepEqual(keys({ jsonIncludeMessage: true }), all.toSpliced(1, 0, "message"));
  const { message, output } = body(alert([], { format: { jsonIncludeMessage: true } }));
  assert.deepEqual([message, output], ["by alice", "23:04:05.678901000: Notice by alice"]);
});

test("times of day follow the zone that was given, the alert's own time and the ISO time stay in UTC", () => {
  const output = "%evt.time.s %evt.datetime.s %evt.time.iso8601";
  const found = alert([], { utcOffsetSeconds: 2 * 3600 }, { output });
  assert.equal(
    found?.output,
    "01:04:05.678901000: Notice 01:04:05 2024-01-03 01:04:05 2024-01-02T23:04:05.678901000+0000",
  );
  assert.equal(found?.time, "2024-01-02T23:04:05.678901000Z");
  assert.match(alert([], { utcOffsetSeconds: -19_800 })?.output ?? "", /^17:34:05\.678901000: /);
});

test("an appended output stands behind the rule's own, each after a blank, in the order given", () => {
  const found = alert([{ extraOutput: "groups=%ka.user.groups" }, { extraOutput: "verb=%ka.verb" }]);
  assert.equal(found?.output, "23:04:05.678901000: Notice by alice groups=(a,b) verb=create");
});

const matching: readonly [string, AppendOutput["match"], boolean][] = [
  ["no conditions", {}, true],
  ["the rule's name", { rule: "r" }, true],
  ["another name", { rule: "r2" }, false],
  ["the source", { source: "k8s_audit" }, true],
  ["another source", { source: "syscall" }, false],
  ["all of its tags", { tags: ["t1", "t2"] }, true],
  ["one tag it lacks", { tags: ["t1", "t3"] }, false],
  ["a name that fits and a tag that does not", { rule: "r", tags: ["x"] }, false],
];
for (const [what, match, want] of matching) {
  test(`append_output with ${what} ${want ? "applies" : "does not apply"}`, () => {
    const found = alert([{ ...(match === undefined ? {} : { match }), extraOutput: "EXTRA" }]);
    assert.equal(found?.output.endsWith(" EXTRA"), want);
  });
}

test("extra fields are listed but not printed: by name with their type, or with a text of one's own", () => {
  const extraFields = [
    "ka.user.groups",
    "ka.impuser.name",
    { who: "<%ka.user.name|%ka.impuser.name>" },
    { plain: "x" },
  ];
  const found = alert([{ extraFields }]);
  assert.equal(found?.output, "23:04:05.678901000: Notice by alice");
  assert.deepEqual(body(found)["output_fields"], {
    "evt.time": "1704236645678901000",
    "ka.impuser.name": null,
    "ka.user.groups": ["a", "b"],
    "ka.user.name": "alice",
    plain: "x",
    who: "<alice|<NA>>",
  });
});

test("an extra field that is spelled like a part of every object is listed like any other", () => {
  const found = alert([
    { extraFields: [JSON.parse('{"__proto__":"a","constructor":"b"}') as Record<string, string>] },
  ]);
  assert.ok(found?.body.includes('"__proto__":"a","constructor":"b"'), found?.body);
});

const named = { environment: "prod", region: "eu-1" };
function staticAlert(parts: object, appendOutput: readonly AppendOutput[] = []): string {
  const whole = {
    rule: "r",
    desc: "d",
    condition: "evt.num > 0",
    output: "o",
    priority: "INFO",
    source: "k8s_audit",
  };
  const files = [{ name: "r.yaml", content: JSON.stringify([{ ...whole, ...parts }]) }];
  const report = loadRules(files, { appendOutput, staticFields: named });
  const [error] = report.results[0]?.errors ?? [];
  if (error !== undefined) return `${error.code}: ${error.message}`;
  return (
    createDetector(report.ruleset, { hostname: "h" }).detect(JSON.stringify(event)).alerts[0]?.body ??
    "silent"
  );
}

test("static fields hold what configuration says, in conditions, outputs and exceptions", () => {
  assert.match(
    staticAlert({ output: "in %static.region." }),
    /Informational in eu-1\..*"static.region":"eu-1"/,
  );
  assert.match(staticAlert({ condition: "static.environment in (prod, test)" }), /^\{/);
  assert.equal(staticAlert({ condition: "static.environment = test" }), "silent");
  const exceptions = [{ name: "e", fields: "static.environment", values: ["prod"] }];
  assert.equal(staticAlert({ exceptions }), "silent");
});

test("a static field that configuration does not give is an unknown field", () => {
  const unknown = "filter_check called with nonexistent field";
  assert.equal(
    staticAlert({ condition: "static.nope = x" }),
    `LOAD_ERR_COMPILE_CONDITION: ${unknown} static.nope`,
  );
  assert.equal(
    staticAlert({ condition: "static.toString exists" }),
    `LOAD_ERR_COMPILE_CONDITION: ${unknown} static.toString`,
  );
  assert.match(
    staticAlert({ output: "%static.nope" }),
    /^LOAD_ERR_COMPILE_OUTPUT: unknown filter: 'static.nope'/,
  );
  assert.match(staticAlert({ output: "%static" }), /^LOAD_ERR_COMPILE_OUTPUT: unknown filter: /);
});

test("fields that suggest themselves are appended by name and value", () => {
  const body = staticAlert({}, [{ suggestedOutput: true }]);
  assert.match(body, /Informational o static_environment=prod static_region=eu-1"/);
});

test("what is appended is checked when the rules load, and the finding names it", () => {
  const message = (one: AppendOutput): string | undefined => load([one]).results[0]?.errors[0]?.message;
  assert.match(message({ extraOutput: "%nope.x" }) ?? "", /^unknown filter: .*'nope.x'/);
  assert.match(message({ extraFields: ["nope.x"] }) ?? "", /extra field 'nope.x'/);
  assert.match(message({ extraFields: [{ who: "%nope.x" }] }) ?? "", /extra field 'who'/);
  assert.equal(message({ match: { rule: "other" }, extraOutput: "%nope.x" }), undefined);
});
