import assert from "node:assert/strict";
import { test } from "node:test";
import { createDetector, loadRules } from "./index.ts";

const rules = `- rule: Password in a request
  desc: Somebody writes a password.
  condition: jevt.value[/requestObject/data/p] = hunter2
  output: Written (value=%jevt.value[/requestObject/data/p] by=%jevt.value[/user/username] id=%jevt.value[/auditID] n=%evt.num)
  priority: WARNING
  source: k8s_audit
`;

const report = loadRules([{ name: "rules.yaml", content: rules }]);
assert.ok(report.ok);

const event = (p: string, time = "2026-11-22T10:00:00.000000Z") => ({
  kind: "Event",
  auditID: "id-1",
  stageTimestamp: time,
  user: { username: "eve" },
  requestObject: { data: { p } },
});

function detected(
  line: unknown,
  shown: unknown,
): ReturnType<ReturnType<typeof createDetector>["detectBytes"]> {
  const detector = createDetector(report.ruleset, { hostname: "node" });
  const [first, second] = [Buffer.from(JSON.stringify(line)), Buffer.from(JSON.stringify(shown))];
  const bytes = Buffer.concat([first, Buffer.from("\n"), second, Buffer.from("\n")]);
  return detector.detectBytes(bytes, 0, first.length, {
    start: first.length + 1,
    end: first.length + 1 + second.length,
  });
}

const cases: readonly (readonly [name: string, line: unknown, shown: unknown])[] = [
  ["a plain event", event("hunter2"), event("***")],
  [
    "an event whose time takes a closer look",
    event("hunter2", "2026-11-22T12:00:00+02:00"),
    event("***", "2026-11-22T12:00:00+02:00"),
  ],
  [
    "an event list",
    { kind: "EventList", items: [event("other"), event("hunter2")] },
    { kind: "EventList", items: [event("***"), event("***")] },
  ],
  ["an array", [event("hunter2")], [event("***")]],
];
for (const [name, line, shown] of cases) {
  test(`detectBytes() finds what is hidden in ${name}, and does not print it`, () => {
    const { alerts } = detected(line, shown);
    assert.equal(alerts.length, 1);
    const [alert] = alerts;
    assert.match(alert?.output ?? "", /Written \(value=\*\*\* by=eve id=id-1 n=\d\)/);
    assert.doesNotMatch(JSON.stringify(alert), /hunter2/);
    assert.equal(alert?.auditId, "id-1");
    assert.equal(alert?.time, "2026-11-22T10:00:00.000000000Z");
  });
}

test("detectBytes() prints nothing rather than what is hidden when the other line does not fit", () => {
  for (const [line, shown] of [
    [[event("hunter2")], []],
    [event("hunter2"), "no event"],
    [[event("hunter2")], "no event"],
    [
      { kind: "EventList", items: [event("hunter2")] },
      { kind: "EventList", items: [{}] },
    ],
  ]) {
    const { alerts } = detected(line, shown);
    assert.equal(alerts.length, 1);
    assert.doesNotMatch(JSON.stringify(alerts), /hunter2|eve/);
  }
});
