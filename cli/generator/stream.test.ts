import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { createAuditStream, planAudit } from "./stream.ts";

interface Event {
  readonly auditID: string;
  readonly stage: string;
  readonly verb: string;
  readonly stageTimestamp: string;
  readonly requestReceivedTimestamp: string;
  readonly level: string;
}

const base = {
  seed: "1",
  cluster: "eu-1",
  threatEvery: 50,
  startMicros: 1_795_424_888_000_000,
  stepMicros: 5000,
};
const parse = (line: string): Event => JSON.parse(line) as Event;

test("planAudit() makes the same log for the same seed, and shares no auditID with another", () => {
  const lines = planAudit({ ...base, count: 2000 });
  assert.deepEqual(planAudit({ ...base, count: 2000 }), lines);
  const ids = new Set(lines.map(({ auditId }) => auditId));
  const others = planAudit({ ...base, seed: "1/2", count: 2000 });
  assert.equal(others.filter(({ auditId }) => ids.has(auditId)).length, 0);
});

test("a request has an auditID of its own, and its two lines share it in the right order", () => {
  const events = planAudit({ ...base, count: 20_000 }).map(({ line }) => parse(line));
  const stages = new Map<string, string[]>();
  for (const { auditID, stage } of events) stages.set(auditID, [...(stages.get(auditID) ?? []), stage]);
  const shapes = new Set([...stages.values()].map((list) => list.join(" ")));
  assert.deepEqual([...shapes].toSorted(), [
    "ResponseComplete",
    "ResponseStarted",
    "ResponseStarted ResponseComplete",
  ]);
  const open = [...stages.values()].filter((list) => list.join() === "ResponseStarted").length;
  assert.ok(open < 400, `long requests must end: ${open} are still open`);
});

test("a stream never repeats a stageTimestamp and never goes back, whatever the clock does", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 2_000_000_000 }), { maxLength: 200 }), (clock) => {
      const stream = createAuditStream(base);
      const times = clock.map((micros) => parse(stream.next(micros * 1000).line).stageTimestamp);
      return times.every((time, index) => index === 0 || time > (times[index - 1] ?? ""));
    }),
  );
});

test("every threatEvery-th line starts a threat, and the three kinds take turns", () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 60 }), fc.string(), (threatEvery, seed) => {
      const lines = planAudit({ ...base, seed, threatEvery, count: 300 });
      const kinds = lines.flatMap(({ planted }) => (planted === undefined ? [] : [planted.threat]));
      assert.equal(kinds.length, Math.floor(300 / threatEvery));
      for (const [index, kind] of kinds.entries()) {
        assert.equal(kind, ["privilege-escalation", "secret-read", "exec"][index % 3]);
      }
    }),
    { numRuns: 50 },
  );
  const quiet = planAudit({ ...base, threatEvery: 0, count: 500 });
  assert.ok(quiet.every(({ planted }) => planted === undefined));
});

test("lines look like a busy API server's: about 1.5 KB on average, both levels, many verbs", () => {
  const lines = planAudit({ ...base, count: 10_000 });
  const mean = lines.reduce((sum, { line }) => sum + line.length + 1, 0) / lines.length;
  assert.ok(mean > 1300 && mean < 1700, `mean is ${mean} bytes`);
  const events = lines.map(({ line }) => parse(line));
  assert.deepEqual([...new Set(events.map(({ level }) => level))].toSorted(), [
    "Metadata",
    "RequestResponse",
  ]);
  const verbs = [...new Set(events.map(({ verb }) => verb))].toSorted();
  assert.deepEqual(verbs, ["create", "get", "list", "patch", "update", "watch"]);
  const backwards = events.filter((event) => event.requestReceivedTimestamp >= event.stageTimestamp);
  assert.deepEqual(backwards, []);
});
