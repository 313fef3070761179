import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { acknowledge, emptyLedger, observe } from "./rates.ts";
import type { Counters } from "./rates.ts";

const at = (events: number): Counters => ({
  events,
  bytes: events * 10,
  alerts: 0,
  dropped: 0,
  parked: 0,
  detectionUs: 0,
});

test("observe() loses no event between minutes, however the observations fall", () => {
  const steps = fc.array(fc.record({ events: fc.nat(1000), ms: fc.integer({ min: 1, max: 30_000 }) }), {
    maxLength: 200,
  });
  fc.assert(
    fc.property(steps, (list) => {
      let ledger = observe(emptyLedger, at(0), 0, 0);
      let total = 0;
      let nowMs = 0;
      for (const step of list) {
        total += step.events;
        nowMs += step.ms;
        ledger = observe(ledger, at(total), 0, nowMs);
      }
      const counted = ledger.buckets.reduce((sum, b) => sum + b.events, 0);
      return counted === total && ledger.buckets.every((b) => b.seconds <= 60);
    }),
  );
});

test("observe() counts a restarted pipeline from zero instead of going negative", () => {
  let ledger = observe(emptyLedger, at(500), 0, 0);
  ledger = observe(ledger, at(20), 0, 5_000);
  assert.equal(ledger.buckets[0]?.events, 20);
});

test("observe() counts an event once when what was dropped alone goes back", () => {
  let ledger = observe(emptyLedger, { ...at(120), dropped: 5, alerts: 7 }, 0, 0);
  ledger = observe(ledger, { ...at(130), dropped: 0, alerts: 7 }, 0, 5_000);
  const [bucket] = ledger.buckets;
  assert.deepEqual([bucket?.events, bucket?.bytes, bucket?.alerts, bucket?.dropped], [10, 100, 0, 0]);
});

test("acknowledge() keeps the minute in work, so that its final count is sent too", () => {
  let ledger = observe(emptyLedger, at(0), 0, 0);
  ledger = observe(ledger, at(10), 0, 59_000);
  ledger = observe(ledger, at(30), 0, 61_000);
  assert.deepEqual(
    acknowledge(ledger, 60_000).buckets.map((b) => b.minuteMs),
    [60_000],
  );
});

test("observe() never counts below zero, whichever counter a restart or a new config sets back", () => {
  const counter = fc.nat(1000);
  const counters = fc.record({
    events: counter,
    bytes: counter,
    alerts: counter,
    dropped: counter,
    parked: counter,
    detectionUs: counter,
  });
  fc.assert(
    fc.property(fc.array(counters, { maxLength: 30 }), (list) => {
      const ledger = list.reduce((held, now, i) => observe(held, now, 0, i * 1000), emptyLedger);
      // A negative count cannot be sent at all: it would end every session.
      return ledger.buckets.every((b) => Object.values(b).every((value) => value >= 0));
    }),
  );
});
