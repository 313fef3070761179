import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { RecordClock } from "./record-time.ts";

function timeOf(record: string, otherwiseMs = 5000): readonly [seconds: number, nanos: number, text: string] {
  const bytes = Buffer.from(`before\n${record}\nafter`);
  const clock = new RecordClock();
  clock.read(bytes, 7, bytes.length - 6, otherwiseMs);
  return [clock.seconds, clock.nanos, bytes.toString("latin1", clock.textStart, clock.textEnd)];
}

test("the time of an audit event is its stageTimestamp, to the last digit", () => {
  const record =
    '{"requestReceivedTimestamp":"2026-11-22T10:31:20.000001Z","stageTimestamp":"2026-11-22T10:31:21.123456Z","x":1}';
  const seconds = Date.UTC(2026, 10, 22, 10, 31, 21) / 1000;
  assert.deepEqual(timeOf(record), [seconds, 123_456_000, "2026-11-22T10:31:21.123456Z"]);
});

test("an event without stageTimestamp happened when its request was received, another record when it was read", () => {
  const seconds = Date.UTC(2026, 10, 22, 10, 31, 20) / 1000;
  const received = '{"requestReceivedTimestamp":"2026-11-22T10:31:20Z"}';
  assert.deepEqual(timeOf(received), [seconds, 0, "2026-11-22T10:31:20Z"]);
  assert.deepEqual(timeOf('{"log":"x"}', 1_700_000_000_123), [1_700_000_000, 123_000_000, ""]);
});

test("what a client sent does not stand in for the event's time", () => {
  const inside = '"stageTimestamp":"1999-01-01T00:00:00Z"';
  const quoted = JSON.stringify(`{${inside}}`);
  const event = `{"requestObject":{${inside},"data":${quoted}},"stageTimestamp":"2026-11-22T10:31:21Z","annotations":{"a":${quoted}}}`;
  assert.equal(timeOf(event)[2], "2026-11-22T10:31:21Z");
});

const noTimes = [
  "2026-11-22T10:31:21+01:00",
  "2026-11-22 10:31:21Z",
  "2026-13-22T10:31:21Z",
  "2026-11-22T10:31:61Z",
  "2026-11-22T10:31:2",
  "",
  "yesterday",
  "2026-11-22T10:31:21.Z",
];
for (const text of noTimes) {
  test(`"${text}" is no time: the record happened when it was read`, () => {
    assert.deepEqual(timeOf(`{"stageTimestamp":"${text}"}`), [5, 0, ""]);
  });
}

test("one clock tells the time of records in any order as Date.parse does", () => {
  const clock = new RecordClock();
  const ms = fc.date({ min: new Date(0), max: new Date("2100-01-01"), noInvalidDate: true });
  fc.assert(
    fc.property(ms, (date) => {
      const bytes = Buffer.from(`{"stageTimestamp":"${date.toISOString()}"}`);
      clock.read(bytes, 0, bytes.length, -1);
      assert.equal(clock.seconds * 1000 + clock.nanos / 1e6, date.getTime());
    }),
  );
});
