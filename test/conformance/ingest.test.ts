import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createDetector, type Detection, type DetectorOptions } from "#engine";
import { event, load, rule } from "./language.ts";

const report = load([rule({ condition: "evt.num exists", output: "%ka.auditid %evt.num" })]);

function detect(line: string, options: Partial<DetectorOptions> = {}): Detection {
  const detector = createDetector(report.ruleset, { hostname: "h", ...options });
  const found = detector.detect(line);
  const bytes = Buffer.from(line);
  const other = createDetector(report.ruleset, { hostname: "h", ...options });
  assert.deepEqual(other.detectBytes(bytes, 0, bytes.length), found, "the same from bytes");
  return found;
}

const named = (auditID: string, parts: object = {}): object => ({ ...event, auditID, ...parts });
const list = (...items: readonly unknown[]): object => ({ kind: "EventList", items });
const timeless = named("x", { stageTimestamp: undefined });

/** What a payload holds, and the numbers and names of the events that are evaluated. */
const payloads: readonly (readonly [string, unknown, readonly string[], readonly RegExp[]])[] = [
  ["one event", named("a"), ["a 1"], []],
  ["a list", list(named("a"), named("b")), ["a 1", "b 2"], []],
  ["a list whose items name no kind", list(named("a", { kind: undefined })), ["a 1"], []],
  ["a list with a list inside", list(list(named("a")), named("b")), ["b 1"], [/can't read stageTimestamp/]],
  ["a list with what is no event", list(7, null, named("b")), ["b 1"], [/can't read/, /can't read/]],
  ["arrays in arrays", [[named("a")], list(named("b")), []], ["a 1", "b 2"], []],
  ["an empty array", [], [], []],
  ["an array with a stranger", [named("a"), { kind: "Pod" }, named("b")], [], [/^data not recognized/]],
  ["an array with an empty list", [named("a"), list()], [], [/^data not recognized/]],
  [
    "an array with an event without a time",
    [named("a"), timeless, named("b")],
    ["a 1", "b 2"],
    [/can't read/],
  ],
  ["a list without items", { kind: "EventList" }, [], [/^data not recognized/]],
  ["a list whose items are no list", { kind: "EventList", items: {} }, [], [/^data not recognized/]],
  ["another kind", named("a", { kind: "event" }), [], [/^data not recognized/]],
  ["a text", "Event", [], [/^data not recognized/]],
];
describe("what of a payload is evaluated", () => {
  for (const [what, payload, ids, problems] of payloads) {
    test(what, () => {
      const found = detect(JSON.stringify(payload));
      assert.deepEqual(
        found.alerts.map(({ output }) => output.split("Informational ")[1]),
        ids,
      );
      assert.equal(found.events, ids.length);
      assert.equal(found.problems.length, problems.length, found.problems.join("; "));
      for (const [i, words] of problems.entries()) assert.match(found.problems[i] ?? "", words);
    });
  }
});

const times: readonly (readonly [unknown, string | undefined])[] = [
  ["2024-01-02T03:04:05Z", "2024-01-02T03:04:05.000000000Z"],
  ["2024-01-02T03:04:05.6Z", "2024-01-02T03:04:05.600000000Z"],
  ["2024-01-02T03:04:05.1234567899Z", "2024-01-02T03:04:05.123456789Z"],
  [`2024-01-02T03:04:05.5${"0".repeat(99)}Z`, "2024-01-02T03:04:05.500000000Z"],
  ["2024-01-02T03:04:05,5Z", "2024-01-02T03:04:05.500000000Z"],
  ["2024-01-02T3:04:05Z", "2024-01-02T03:04:05.000000000Z"],
  ["2024-01-02T03:04:05+02:00", "2024-01-02T01:04:05.000000000Z"],
  ["2024-01-02T03:04:05-23:59", "2024-01-03T03:03:05.000000000Z"],
  ["2024-01-02T03:04:05+24:60", "2024-01-01T02:04:05.000000000Z"],
  ["2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000000000Z"],
  ["2023-02-29T00:00:00Z", undefined],
  ["2024-01-02T03:04:05+25:00", undefined],
  ["2024-01-02T03:04:05+00:61", undefined],
  ["2024-01-02T03:04:05+0200", undefined],
  ["2024-01-02T03:04:05.Z", undefined],
  ["2024-01-02T03:04:60Z", undefined],
  ["2024-01-02T24:00:00Z", undefined],
  ["2024-01-02T03:4:05Z", undefined],
  ["2024-1-02T03:04:05Z", undefined],
  ["2024-01-02t03:04:05z", undefined],
  ["2024-01-02 03:04:05Z", undefined],
  ["2024-01-02T03:04:05", undefined],
  ["2024-01-02T03:04:05Z\0", undefined],
  [" 2024-01-02T03:04:05Z", undefined],
  ["", undefined],
  [1704164645, undefined],
  [null, undefined],
  [["2024-01-02T03:04:05Z"], undefined],
];
describe("the time of an event", () => {
  for (const [stamp, want] of times) {
    test(`${JSON.stringify(stamp).slice(0, 48)} is ${want}`, () => {
      const found = detect(JSON.stringify(named("a", { stageTimestamp: stamp })));
      assert.deepEqual(
        found.alerts.map(({ time }) => time),
        want === undefined ? [] : [want],
      );
      assert.equal(found.problems.length, want === undefined ? 1 : 0, found.problems.join("; "));
    });
  }
});

test("an event counts without the blanks between its tokens against the limit", () => {
  const compact = JSON.stringify(named("a"));
  const wide = JSON.stringify(named("a"), undefined, 9);
  const at = { eventBytesMax: Buffer.byteLength(compact) };
  const below = { eventBytesMax: Buffer.byteLength(compact) - 1 };
  for (const line of [compact, wide, ` ${compact}\r`]) {
    assert.equal(detect(line, at).events, 1);
    assert.match(detect(line, below).problems.join(), /larger than/);
  }
  const both = JSON.stringify([named("b"), named("a", { userAgent: "x".repeat(999) })]);
  assert.deepEqual(
    detect(both, at).alerts.map(({ output }) => output.split(" ").at(-2)),
    ["b"],
  );
});

describe("a line that is no JSON is dropped", () => {
  const good = JSON.stringify(event);
  for (const line of [
    `${good}x`,
    good.slice(0, -1),
    `\ufeff${good}`,
    `${good}${good}`,
    good.replace(":", "="),
  ]) {
    test(line.slice(0, 3) + line.slice(-3), () => {
      const { events, problems } = detect(line);
      assert.equal(events, 0);
      assert.match(problems.join(), /^cannot parse JSON/);
    });
  }
});
