import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary } from "@bufbuild/protobuf";
import * as fc from "fast-check";
import { RateBucketSchema, StateReportSchema, SyncResponseSchema } from "#proto/agent/v1/agent";
import type { SyncRequest } from "#proto/agent/v1/agent";
import { acknowledge, emptyLedger, observe } from "../domain/rates.ts";
import type { RateLedger } from "../domain/rates.ts";
import { createSession } from "./session.ts";
import type { Speaker } from "./session.ts";

/** A speaker whose report can be changed, with real rates. */
function speaker() {
  const own: { version: number; ledger: RateLedger } = { version: 1, ledger: emptyLedger };
  const says: Speaker = {
    hello: () => ({ agentVersion: "0.1.0" }),
    reportVersion: () => own.version,
    report: () => ({ clusterId: "cl_1", observedGeneration: BigInt(own.version) }),
    sign: () => new Uint8Array(64),
    rates: () =>
      own.ledger.buckets.map(({ minuteMs, events }) =>
        create(RateBucketSchema, {
          minute: { seconds: BigInt(minuteMs / 1000) },
          events: BigInt(events),
        }),
      ),
    ratesAcknowledged: (through) => (own.ledger = acknowledge(own.ledger, through)),
    auditHead: () => undefined,
    shadow: () => undefined,
    backtest: () => undefined,
    trustVersions: () => ({}),
    labelsDigest: () => new Uint8Array(),
    caBundleVersion: () => 0n,
    traceparent: () => "",
    reportAcknowledged: () => undefined,
  };
  return { own, says };
}

const ack = (ackSequence: bigint, needHello = false) =>
  create(SyncResponseSchema, { ackSequence, needHello });

test("a session says hello and reports until it is acknowledged, and then only what changed", () => {
  const { own, says } = speaker();
  const session = createSession(says, "stream");
  const first = session.next();
  assert.deepEqual([first.sequence, first.hello?.transport, first.report.length > 0], [1n, "stream", true]);
  assert.ok(session.next().report.length > 0, "the acknowledgement may be lost: it is said again");
  session.acknowledge(ack(2n));
  assert.equal(session.hasNews(), false);
  const quiet = session.next();
  assert.deepEqual([quiet.sequence, quiet.hello, quiet.report.length], [3n, undefined, 0]);
  own.version += 1;
  assert.equal(session.hasNews(), true);
  assert.equal(fromBinary(StateReportSchema, session.next().report).sequence, 4n);
});

test("a goodbye says no hello, with which it would take over from the session after it", () => {
  for (const transport of ["stream", "long-poll"] as const) {
    const session = createSession(speaker().says, transport);
    assert.equal(session.next({ goodbye: true }).hello, undefined, "before it was heard");
    session.acknowledge(ack(1n));
    assert.equal(session.next({ goodbye: true }).hello, undefined);
  }
});

test("a change between a report and its acknowledgement is not taken for acknowledged", () => {
  const { own, says } = speaker();
  const session = createSession(says, "long-poll");
  session.next();
  own.version += 1;
  session.acknowledge(ack(1n));
  assert.equal(session.hasNews(), true);
  assert.ok(session.next().report.length > 0);
});

test("asked for a hello in the middle, a session begins again from 1 with a report, however many are under way", () => {
  const { says } = speaker();
  const session = createSession(says, "stream");
  session.next();
  session.acknowledge(ack(1n));
  session.next();
  session.next();
  session.acknowledge(ack(1n, true));
  session.acknowledge(ack(1n, true));
  const again = session.next();
  assert.deepEqual([again.sequence, again.hello !== undefined, again.report.length > 0], [1n, true, true]);
  session.acknowledge(ack(1n));
  assert.equal(session.hasNews(), false);
  assert.equal(session.next().hello, undefined);
});

test("whatever is lost or late, the server ends with the full count of every minute that was acknowledged", () => {
  const step = fc.record({
    what: fc.constantFrom("observe", "say", "ack", "lose"),
    ms: fc.integer({ min: 1, max: 20_000 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
      const { own, says } = speaker();
      const session = createSession(says, "long-poll");
      const server = new Map<bigint, bigint>();
      const truth = new Map<bigint, bigint>();
      const underWay: SyncRequest[] = [];
      let events = 0;
      let nowMs = 0;
      const take = ({ rates }: SyncRequest) => {
        for (const { minute, events: n } of rates) server.set(minute?.seconds ?? 0n, n);
      };
      const look = () => {
        events += 1;
        const counters = { events, bytes: 0, alerts: 0, dropped: 0, parked: 0, detectionUs: 0 };
        own.ledger = observe(own.ledger, counters, 0, nowMs);
        for (const b of own.ledger.buckets) truth.set(BigInt(b.minuteMs / 1000), BigInt(b.events));
      };
      for (const { what, ms } of steps) {
        nowMs += ms;
        if (what === "observe") look();
        if (what === "say") underWay.push(session.next());
        if (what === "lose") underWay.shift();
        const arrived = what === "ack" ? underWay.shift() : undefined;
        if (arrived !== undefined) {
          take(arrived);
          session.acknowledge(ack(arrived.sequence));
        }
      }
      take(session.next());
      return [...truth].every(([minute, count]) => server.get(minute) === count);
    }),
    { numRuns: 300 },
  );
});
