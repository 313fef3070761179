import assert from "node:assert/strict";
import { test } from "node:test";
import { beginSoak, deathsMax, isDead, judgeSoak, noteDeath, openTrial, watch } from "./trial.ts";
import type { Look, OutputLook, SoakBounds, Trial } from "./trial.ts";

const bounds: SoakBounds = { soakMs: 300_000, stallMs: 60_000, detectionUsMax: 1_000 };
const look = (atMs: number, change: Partial<Look> = {}): Look => ({
  atMs,
  bytes: 0,
  events: 0,
  detectionUs: 0,
  isLogAhead: false,
  outputs: [],
  ...change,
});
const output = (error: string | undefined, delivered = 0): OutputLook => ({ alias: "es", delivered, error });

/** A look each second, and what the soak says after the last one. */
function soak(
  seconds: number,
  at: (second: number) => Partial<Look>,
  before?: Look,
  kind: "rules" | "shipper" = "shipper",
) {
  let state = beginSoak(before, look(0, at(0)));
  for (let second = 1; second <= seconds; second++) state = watch(state, look(second * 1_000, at(second)));
  return judgeSoak(state, kind, bounds);
}

const reasonOf = (verdict: ReturnType<typeof judgeSoak>) =>
  verdict.kind === "failed" ? verdict.reason : verdict.kind;

test("a bundle is given up after three deaths, however the tries fall, and another one begins anew", () => {
  let trial: Trial | undefined;
  for (let death = 1; death <= deathsMax; death++) {
    trial = noteDeath(openTrial(trial, "aa", death), "it blew up");
    assert.equal(isDead(trial), death === deathsMax);
  }
  assert.equal(openTrial(trial, "bb", 9).deaths, 0);
  assert.equal(openTrial(trial, "aa", 9).sinceMs, undefined);
});

test("a quiet log passes the soak: nothing to read is no failure", () => {
  assert.equal(reasonOf(soak(299, () => ({}))), "waits");
  assert.equal(reasonOf(soak(300, () => ({}))), "passed");
});

test("a log that grows while nothing is read fails the soak after a minute, and not before", () => {
  const stuck = () => ({ bytes: 7, isLogAhead: true });
  assert.equal(reasonOf(soak(59, stuck)), "waits");
  assert.equal(reasonOf(soak(60, stuck)), "soak/not-reading");
});

test("a reader that is behind and goes on reading passes", () => {
  assert.equal(reasonOf(soak(300, (second) => ({ bytes: second, isLogAhead: true }))), "passed");
});

test("what begins to go wrong in the last minute is waited for, not passed", () => {
  const late = (second: number) => ({ bytes: Math.min(second, 280), isLogAhead: second > 280 });
  assert.equal(reasonOf(soak(320, late)), "waits");
  assert.equal(reasonOf(soak(340, late)), "soak/not-reading");
});

test("an output that has failed since the config came fails it", () => {
  const verdict = soak(61, () => ({ outputs: [output("ECONNREFUSED")] }), look(-1));
  assert.equal(reasonOf(verdict), "soak/output-failing");
  assert.match(verdict.kind === "failed" ? verdict.detail : "", /"es".*ECONNREFUSED/);
});

test("an output that failed before, or delivered since, is not held against the config; nor is any against rules", () => {
  const down = () => ({ outputs: [output("ECONNREFUSED")] });
  assert.equal(reasonOf(soak(300, down, look(-1, { outputs: [output("ECONNREFUSED")] }))), "passed");
  const once = (second: number) => ({
    outputs: [output(second < 10 ? undefined : "503", Math.min(second, 9))],
  });
  assert.equal(reasonOf(soak(300, once, look(-1))), "passed");
  assert.equal(reasonOf(soak(300, down, look(-1), "rules")), "passed");
});

test("rules that cost more than the bound fail once enough events were seen; dear rules are held to their own past", () => {
  const costing = (us: number) => (second: number) => ({
    bytes: second,
    events: second * 10,
    detectionUs: second * 10 * us,
  });
  assert.equal(reasonOf(soak(25, costing(5_000))), "waits");
  assert.equal(reasonOf(soak(26, costing(5_000))), "soak/too-slow");
  assert.equal(reasonOf(soak(300, costing(1_400))), "soak/too-slow");
  assert.equal(reasonOf(soak(300, costing(900))), "passed");
  // A worker that goes on counts on: what came before the bundle is not the bundle's.
  const past = look(-1, { events: 1_000, detectionUs: 2_000_000 });
  const after = (second: number) => ({
    bytes: second,
    events: 1_000 + second * 10,
    detectionUs: 2_000_000 + second * 50_000,
  });
  assert.equal(reasonOf(soak(300, after, past, "rules")), "passed");
});

test("a bundle is not given up for what a new worker takes until its code is compiled", () => {
  const cold = (second: number) => ({
    bytes: second,
    events: second * 100,
    detectionUs: Math.min(second, 5) * 180_000 + second * 100 * 50,
  });
  for (let seconds = 1; seconds < 300; seconds++) assert.equal(reasonOf(soak(seconds, cold)), "waits");
  assert.equal(reasonOf(soak(300, cold)), "passed");
});

test("a program that does not show its bundle for a while, or falls three times, ends the soak of its kind alone", () => {
  const program = (fault: string | undefined, falls = 0) => ({
    programs: [{ kind: "rules" as const, name: "falco", fault, falls }],
  });
  const rules = (seconds: number, at: (second: number) => Partial<Look>) =>
    reasonOf(soak(seconds, at, undefined, "rules"));
  assert.equal(
    rules(300, () => program(undefined)),
    "passed",
  );
  assert.equal(
    rules(59, () => program("away")),
    "waits",
  );
  assert.equal(
    rules(60, () => program("away")),
    "soak/not-running",
  );
  assert.equal(
    rules(300, (second) => program(second % 50 > 10 ? "away" : undefined)),
    "passed",
  );
  assert.equal(
    rules(310, (second) => program(second > 290 ? "away" : undefined)),
    "waits",
  );
  assert.equal(
    rules(30, (second) => program(undefined, 7 + Math.floor(second / 10))),
    "soak/crash-loop",
  );
  assert.equal(reasonOf(soak(300, () => program("away"))), "passed");
});
