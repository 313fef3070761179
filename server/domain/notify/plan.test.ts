import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import type { AlertFacts } from "../alert-matcher.ts";
import { fleetState } from "./fleet-state.ts";
import {
  entriesMax,
  entryKey,
  groupOf,
  withOccurrence,
  withStandings,
  withStates,
  type Group,
  type Occurrence,
  type Standing,
} from "./group.ts";
import { planGroup } from "./plan.ts";
import { attemptsMax, planDelivery, retryAfterMs, takeTurn } from "./retry.ts";
import { parseRoute, usualTiming, type Route } from "./route.ts";
import { createRouter } from "./router.ts";

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const empty: Group = { labels: {}, entries: [], leftOut: 0 };
const heard = () => false;

function alert(change: Partial<AlertFacts> = {}, atMs = 0): Occurrence {
  const facts = {
    rule: "Exec",
    priority: 4,
    source: "k8s_audit",
    output: "sh in gateway-0",
    tags: [],
    actor: "eve",
  };
  const where = { cluster: "eu-1", labels: { region: "eu" }, fields: {} };
  return { kind: "alert", subject: "", atMs, facts: { ...facts, ...where, ...change } };
}

const silent = (agent: string) =>
  fleetState({
    rule: "Agent silent",
    subject: agent,
    words: `Agent ${agent} is silent`,
    sinceMs: 0,
    cluster: "eu-1",
  });

/** A group over time: what is told at each look. */
function look(group: Group, atMs: number, isSilenced: (facts: AlertFacts) => boolean = heard) {
  const plan = planGroup(group, usualTiming, atMs, isSilenced);
  const names = (entries: Group["entries"] = []) => entries.map(({ rule, count }) => `${rule} ${count}`);
  const said = plan.send && { firing: names(plan.send.firing), resolved: names(plan.send.resolved) };
  return { said, after: plan.after, dueMs: plan.dueMs, goesOn: plan.send?.goesOn };
}

test("what comes together is told together, once the wait is over, and then not before the interval is", () => {
  let group = withOccurrence(empty, alert(), 0);
  group = withOccurrence(group, alert(), 5 * second);
  const early = look(group, 10 * second);
  assert.deepEqual([early.said, early.dueMs], [undefined, 30 * second]);
  group = withOccurrence(early.after, alert({ rule: "Secret" }), 20 * second);
  const first = look(group, 30 * second);
  assert.deepEqual(first.said?.firing, ["Exec 2", "Secret 1"]);
  assert.equal(first.dueMs, 30 * second + 4 * hour);
  group = withOccurrence(first.after, alert({ rule: "Token" }), minute);
  const soon = look(group, 2 * minute);
  assert.deepEqual([soon.said, soon.dueMs], [undefined, 30 * second + 5 * minute]);
  const second2 = look(soon.after, 30 * second + 5 * minute);
  assert.deepEqual(second2.said?.firing, ["Token 1"]);
});

test("the same alert again is told once per repeat time with its count, and is news again after a quiet time", () => {
  let group = look(withOccurrence(empty, alert(), 0), 30 * second).after;
  for (let i = 1; i <= 3; i += 1) group = withOccurrence(group, alert(), i * minute);
  const during = look(group, hour);
  assert.equal(during.said, undefined);
  const again = look(during.after, 30 * second + 4 * hour);
  assert.deepEqual(again.said?.firing, ["Exec 3"]);
  const quiet = look(again.after, 30 * second + 8 * hour);
  assert.deepEqual([quiet.said, quiet.dueMs], [undefined, undefined]);
});

test("a state is told when it begins and when it ends, again while it lasts, and not at all when it was short", () => {
  const key = entryKey(silent("node-1"));
  const begun = withOccurrence(empty, silent("node-1"), 0);
  const short = look(withStates(begun, new Set(), 15 * second), 30 * second);
  assert.deepEqual([short.said, short.dueMs], [undefined, undefined]);
  const told = look(withStates(begun, new Set([key]), 15 * second), 30 * second);
  assert.deepEqual(told.said?.firing, ["Agent silent 1"]);
  const lasting = look(told.after, 30 * second + 4 * hour);
  assert.equal(lasting.said?.firing.length, 1);
  const over = look(withStates(told.after, new Set(), hour), 2 * hour);
  assert.deepEqual([over.said?.firing, over.said?.resolved.length, over.dueMs], [[], 1, undefined]);
});

test("a state that was not looked for goes on: nobody is told that it is over, and then that it is there again", () => {
  const told = look(withOccurrence(empty, silent("node-1"), 0), 30 * second).after;
  const blind = look(withStates(told, new Set(), hour, new Set(["Agent silent"])), hour + minute);
  assert.equal(blind.said, undefined);
  assert.deepEqual(look(withStates(blind.after, new Set(), 2 * hour), 3 * hour).said?.resolved, [
    "Agent silent 1",
  ]);
});

test("a state that comes back before its end was told never ended", () => {
  const told = look(withOccurrence(empty, silent("node-1"), 0), 30 * second).after;
  const gone = withStates(told, new Set(), minute);
  const back = look(withOccurrence(gone, silent("node-1"), 2 * minute), 10 * minute);
  assert.equal(back.said, undefined);
});

test("under a silence an alert is forgotten, and a state is told when the silence is over and it still lasts", () => {
  const mute = () => true;
  const forgotten = look(withOccurrence(empty, alert(), 0), minute, mute);
  assert.deepEqual([forgotten.said, forgotten.dueMs], [undefined, undefined]);
  const held = look(withOccurrence(empty, silent("node-1"), 0), minute, mute);
  assert.deepEqual([held.said, held.dueMs], [undefined, 6 * minute]);
  assert.equal(look(held.after, 6 * minute).said?.firing.length, 1);
});

test("a group is not over while a silence covers a state that was told, which is told again when the silence is over", () => {
  const states = ["node-1", "node-2"].map(silent);
  const keys = states.map(entryKey);
  const isFirst = ({ output }: AlertFacts) => output.includes("node-1");
  let group = states.reduce((before, state) => withOccurrence(before, state, 0), empty);
  group = look(group, 30 * second).after;
  group = look(withStates(group, new Set(keys), minute), 10 * minute, isFirst).after;
  // The other one ends.
  const half = look(withStates(group, new Set(keys.slice(0, 1)), 20 * minute), 30 * minute, isFirst);
  assert.deepEqual([half.said?.firing, half.said?.resolved.length, half.goesOn], [[], 1, true]);
  const again = look(half.after, 40 * minute);
  assert.deepEqual([again.said?.firing, again.goesOn], [["Agent silent 1"], false]);
  assert.equal(look(again.after, hour).said, undefined);
  const over = look(withStates(again.after, new Set(), hour), 2 * hour);
  assert.deepEqual([over.said?.resolved.length, over.goesOn, over.dueMs], [1, false, undefined]);
  // One that was never told keeps no group from being over.
  const never = states.reduce((before, state) => withOccurrence(before, state, 0), empty);
  const told = withStates(look(never, minute, isFirst).after, new Set(keys.slice(0, 1)), hour);
  const { said, goesOn } = look(told, 2 * hour, isFirst);
  assert.deepEqual([said?.resolved.length, goesOn], [1, false]);
});

const exec: Occurrence = { ...alert(), alert: { groupId: "gr_1", id: "a", auditId: "" } };
const said = (group: Group, state: Standing["state"], sinceMs: number, nowMs: number) =>
  look(withStandings(group, new Map([["gr_1", { state, sinceMs }]]), nowMs), nowMs);

test("an alert that somebody acknowledged is not repeated while it goes on, and is news again after a quiet time", () => {
  const told = look(withOccurrence(empty, exec, 0), minute).after;
  let nowMs = minute;
  let group = told;
  for (; nowMs < 12 * hour; nowMs += hour) {
    const seen = said(withOccurrence(group, exec, nowMs), "acknowledged", 2 * minute, nowMs);
    assert.equal(seen.said, undefined, `after ${nowMs / hour} hours`);
    assert.ok(seen.dueMs !== undefined && seen.dueMs > nowMs);
    group = seen.after;
  }
  const quiet = said(group, "acknowledged", 2 * minute, nowMs + 4 * hour);
  assert.equal(quiet.dueMs, undefined);
  const news = said(withOccurrence(quiet.after, exec, 20 * hour), "acknowledged", 2 * minute, 21 * hour);
  assert.deepEqual(news.said?.firing, ["Exec 1"]);
  const early = said(withOccurrence(empty, exec, 0), "acknowledged", 10 * second, minute);
  assert.equal(early.said, undefined);
});

test("an alert that somebody resolved is told to be over once, if it was told, and is news when it happens again", () => {
  const told = look(withOccurrence(withOccurrence(empty, exec, 0), alert({ actor: "bob" }), 0), minute).after;
  const over = said(told, "resolved", hour, 2 * hour);
  assert.deepEqual([over.said, over.goesOn], [{ firing: [], resolved: ["Exec 0"] }, true]);
  assert.equal(said(withOccurrence(empty, exec, 0), "resolved", 10 * second, minute).said, undefined);
  // It happens again before that was told.
  const ending = said(told, "resolved", 2 * minute, 3 * minute);
  assert.equal(ending.said, undefined);
  const back = said(withOccurrence(ending.after, exec, 4 * minute), "open", 4 * minute, 10 * minute);
  assert.deepEqual(back.said, { firing: ["Exec 1"], resolved: [] });
  // It happened again before anybody looked.
  const unseen = said(withOccurrence(told, exec, 4 * minute), "open", 4 * minute, 10 * minute);
  assert.deepEqual(unseen.said, { firing: ["Exec 1"], resolved: [] });
});

test("a flood of different alerts takes bounded room in a group, and the message says how many it does not hold", () => {
  let group = empty;
  for (let i = 0; i < entriesMax + 7; i += 1) group = withOccurrence(group, alert({ actor: `user ${i}` }), 0);
  assert.equal(group.entries.length, entriesMax);
  const plan = planGroup(group, usualTiming, minute, heard);
  assert.deepEqual([plan.send?.firing.length, plan.send?.leftOut, plan.after.leftOut], [entriesMax, 7, 0]);
});

test("who fills a group keeps nothing new out of it: what was told makes room, the quiet first, and its count is told", () => {
  let group = empty;
  for (let i = 0; i < entriesMax; i += 1) group = withOccurrence(group, alert({ actor: `user ${i}` }), 0);
  group = look(group, minute).after;
  for (let i = 1; i < entriesMax; i += 1) {
    group = withOccurrence(group, alert({ actor: `user ${i}` }), minute);
  }
  group = withOccurrence(group, alert({ rule: "Secret" }), 2 * minute);
  assert.deepEqual([group.entries.length, group.leftOut], [entriesMax, 0]);
  group = withOccurrence(group, alert({ rule: "Token" }), 2 * minute);
  assert.deepEqual([group.entries.length, group.leftOut], [entriesMax, 1]);
  const plan = planGroup(group, usualTiming, 6 * minute, heard);
  const rules = plan.send?.firing.map(({ rule }) => rule) ?? [];
  assert.ok(rules.includes("Secret") && rules.includes("Token"), JSON.stringify(plan.send));
});

test("states that find no place are counted once for a message, however often they are looked at", () => {
  const found = Array.from({ length: entriesMax + 2 }, (_, i) => silent(`node-${i}`));
  const keys = new Set(found.map(entryKey));
  const lookAt = (before: Group, nowMs: number) =>
    withStates(
      found.reduce((group, state) => withOccurrence(group, state, nowMs), before),
      keys,
      nowMs,
    );
  const group = lookAt(lookAt(lookAt(empty, 0), 15 * second), 30 * second);
  const plan = planGroup(group, usualTiming, minute, heard);
  assert.deepEqual([plan.send?.firing.length, plan.send?.leftOut], [entriesMax, 2]);
  assert.equal(lookAt(plan.after, 2 * minute).leftOut, 2);
});

test("what a group keeps of long names and texts can be written to the database, wherever it is cut", () => {
  // Characters of two units, which stand across the cut in one of these.
  for (const text of ["", "x"].map((before) => `${before}${"\u{1f985}".repeat(400)}`)) {
    const occurrence = alert({ rule: text, actor: text, output: text });
    const { key, labels } = groupOf(["rule", "actor"], occurrence.facts);
    const { entries } = withOccurrence(withOccurrence(empty, occurrence, 0), occurrence, 1);
    for (const kept of [key, ...Object.values(labels), ...entries.flatMap((entry) => Object.values(entry))]) {
      assert.ok(typeof kept !== "string" || kept.isWellFormed(), String(kept));
    }
  }
});

test("planGroup() tells every alert within its wait and interval, and never two messages within an interval", () => {
  const times = fc.array(fc.integer({ min: 0, max: 3_600 }), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(times, (seconds) => {
      const arrivals = new Set(seconds);
      let group = empty;
      let dueMs: number | undefined;
      let told = 0;
      const spoken: number[] = [];
      for (let s = 0; s <= 3_600 + 5 * 3_600; s += 1) {
        if (arrivals.has(s)) {
          group = withOccurrence(group, alert({ actor: `user ${s}` }), s * second);
          dueMs = s * second;
        }
        if (dueMs === undefined || s * second < dueMs) continue;
        const plan = planGroup(group, usualTiming, s * second, heard);
        group = plan.after;
        if (plan.dueMs === undefined) group = empty;
        dueMs = plan.dueMs;
        if (plan.send === undefined) continue;
        told += plan.send.firing.reduce((sum, { count }) => sum + count, 0);
        const last = spoken.at(-1);
        assert.ok(last === undefined || s - last >= 300, `spoke at ${last} and at ${s}`);
        spoken.push(s);
      }
      assert.equal(told, arrivals.size);
    }),
    { numRuns: 20 },
  );
});

const route: Route = { ...usualTiming, name: "a", receiver: "r", matchers: "", groupBy: [], goesOn: false };

test("routes are asked in order: the first that takes something ends it, unless it lets it go on", () => {
  const routes = [
    { ...route, name: "pager", matchers: "priority>=critical", goesOn: true },
    { ...route, name: "fleet", matchers: "source=falconry" },
    { ...route, name: "rest" },
  ];
  const names = (occurrence: Occurrence) => createRouter(routes)(occurrence.facts).map(({ name }) => name);
  assert.deepEqual(names(alert({ priority: 2 })), ["pager", "rest"]);
  assert.deepEqual(names(alert()), ["rest"]);
  assert.deepEqual(names(silent("node-1")), ["fleet"]);
});

test("groups are made of what a route groups by: labels of the cluster and fields of the alert too", () => {
  const { key, labels } = groupOf(["region", "rule", "ka.target.namespace"], alert().facts);
  assert.deepEqual(labels, { region: "eu", rule: "Exec", "ka.target.namespace": "" });
  assert.notEqual(key, groupOf(["region", "rule", "ka.target.namespace"], alert({ rule: "x" }).facts).key);
});

test("a route that cannot work is refused with every reason at once", () => {
  const bad = parseRoute({
    ...route,
    name: "A b",
    matchers: "priority=loud",
    groupBy: ["output"],
    waitMs: 1,
  });
  assert.ok(!bad.ok && bad.refusal.kind === "invalid");
  assert.deepEqual(
    bad.refusal.problems.map(({ field }) => field),
    ["name", "matchers", "group_by", "wait"],
  );
});

test("a message is tried again with growing pauses up to a limit, as late as the receiver asks, and not when it is refused", () => {
  const failure = { ok: false, why: "answered 503", mayRetry: true } as const;
  const pause = (attempt: number, more = {}) => {
    const plan = planDelivery(attempt, { ...failure, ...more }, 0, 0.999_999);
    return plan.kind === "retry" ? Math.round(plan.atMs / second) : plan.kind;
  };
  assert.deepEqual(
    [1, 2, 3, 9, attemptsMax - 1, attemptsMax].map((n) => pause(n)),
    [10, 20, 40, 1_800, 1_800, "dead"],
  );
  assert.equal(pause(1, { retryAfterMs: 120 * second }), 120);
  assert.equal(pause(1, { retryAfterMs: 30 * 24 * hour }), 3_600);
  assert.equal(pause(1, { mayRetry: false }), "dead");
  assert.equal(retryAfterMs("7", Number.NaN, 0), 7_000);
  assert.equal(retryAfterMs("soon", Number.NaN, 0), undefined);
});

test("a receiver takes as many messages in a minute as it may, then one at a time", () => {
  let busyUntilMs = 0;
  const take = (nowMs: number) => {
    const turn = takeTurn(busyUntilMs, 20, nowMs);
    ({ busyUntilMs } = turn);
    return turn.isFree;
  };
  const burst = Array.from({ length: 30 }, () => take(hour)).filter(Boolean).length;
  assert.equal(burst, 20);
  assert.deepEqual(
    [take(hour + second), take(hour + 3 * second), take(hour + 3 * second)],
    [false, true, false],
  );
});
