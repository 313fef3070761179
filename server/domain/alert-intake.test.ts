import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import { actorOf, fieldsOf } from "./alert-fields.ts";
import { alertGroupStates, stepAlertGroup } from "./alert-group.ts";
import {
  defaultIntakeBounds,
  planIntake,
  type IntakeBounds,
  type IntakeFacts,
  type IntakePlace,
} from "./alert-intake.ts";

const groupIdOf = (rule: string, actor: string) => `${rule}/${actor}`;
const nothing: IntakeFacts = { stored: new Map(), groups: new Set(), heardGroups: new Set(), groupCount: 0 };
type Sent = Parameters<typeof planIntake>[0][number];

/** What a cluster sends in an hour, batch by batch, and what is known of it after that. */
function takeIn(batches: readonly (readonly Sent[])[], bounds: IntakeBounds) {
  let facts = nothing;
  const places: IntakePlace[] = [];
  for (const batch of batches) {
    const placed = planIntake(batch, facts, bounds, groupIdOf);
    places.push(...placed);
    const stored = new Map(facts.stored);
    for (const { countedAs, isStored } of placed) {
      stored.set(countedAs, (stored.get(countedAs) ?? 0) + (isStored ? 1 : 0));
    }
    const groups = new Set([...facts.groups, ...placed.map(({ groupId }) => groupId)]);
    facts = { stored, groups, heardGroups: groups, groupCount: groups.size };
  }
  return { places, facts };
}

const anyBounds = fc.record({
  storedPerHourMax: fc.integer({ min: 1, max: 50 }),
  groupsMax: fc.integer({ min: 1, max: 8 }),
});
const anyBatches = fc.array(
  fc.array(
    fc.record({
      rule: fc.constantFrom("a", "b", "c", "*"),
      actor: fc.string({ maxLength: 2 }),
      priority: fc.integer({ min: 0, max: 7 }),
    }),
    { maxLength: 100 },
  ),
  { maxLength: 4 },
);

test("planIntake() keeps a cluster within its bounds, whatever it sends, and loses no alert from the counts", () => {
  fc.assert(
    fc.property(anyBatches, anyBounds, (batches, bounds) => {
      const { places } = takeIn(batches, bounds);
      assert.equal(places.length, batches.flat().length);
      const groups = new Set(places.map(({ groupId }) => groupId));
      assert.ok(groups.size <= Math.ceil(bounds.groupsMax * 1.25) + 1);
      const stored = places.filter(({ isStored }) => isStored);
      // Beyond the bound one alert of each of the four rules, and one of each group.
      assert.ok(stored.length <= bounds.storedPerHourMax + 4 + groups.size);
      for (const rule of ["a", "b", "c"]) {
        const ofRule = stored.filter(({ countedAs }) => countedAs === rule).length;
        assert.ok(ofRule <= Math.ceil(bounds.storedPerHourMax / 2) + groups.size);
      }
    }),
  );
});

test("planIntake() stores a critical alert of a quiet rule, and the first of each actor in the hour, whatever was sent before", () => {
  fc.assert(
    fc.property(anyBatches, anyBounds, (batches, bounds) => {
      const { places, facts } = takeIn(batches, bounds);
      const quiet = { rule: "Exec Into Pod", actor: "alice", priority: 2 };
      assert.ok(planIntake([quiet], facts, bounds, groupIdOf)[0]?.isStored);
      const firsts = new Map(places.map((place) => [place.groupId, place] as const).toReversed());
      assert.ok([...firsts.values()].every(({ isStored }) => isStored));
    }),
  );
});

test("planIntake() keeps room for what is severe when anonymous calls fill the hour with what is not", () => {
  const of = (count: number, rule: string, actor: string, priority: number): Sent[] =>
    Array.from({ length: count }, () => ({ rule, actor, priority }));
  const flood = [
    ...of(20_000, "Anonymous request", "system:anonymous", 4),
    ...of(20_000, "False token", "", 4),
    ...of(20_000, "Exec Into Pod", "system:anonymous", 4),
  ];
  const { facts, places } = takeIn([flood], defaultIntakeBounds);
  const after = (sent: readonly Sent[]) =>
    planIntake(sent, facts, defaultIntakeBounds, groupIdOf).filter(({ isStored }) => isStored).length;
  assert.equal(places.filter(({ isStored }) => isStored).length, 15_000 + 100);
  assert.equal(after(of(200, "Exec Into Pod", "mallory", 4)), 1);
  assert.equal(after(of(200, "Secret read", "mallory", 4)), 100);
  assert.equal(after(of(6_000, "Cluster admin bound", "mallory", 3)), 4_900);
});

test("planIntake() stores the alerts of a quiet rule while a noisy one is over its half", () => {
  const facts = { ...nothing, stored: new Map([["noisy", 50]]), heardGroups: new Set(["noisy/x"]) };
  const batch = ["noisy", "quiet", "noisy"].map((rule) => ({ rule, actor: "x", priority: 4 }));
  const places = planIntake(batch, facts, { storedPerHourMax: 100, groupsMax: 10 }, groupIdOf);
  assert.deepEqual(
    places.map(({ isStored }) => isStored),
    [false, true, false],
  );
});

test("planIntake() goes on with groups that are there when there is room for no other", () => {
  const facts = { ...nothing, groups: new Set(["a/alice"]), groupCount: 10 };
  const batch = [
    { rule: "a", actor: "alice" },
    { rule: "a", actor: "bob" },
    { rule: "b", actor: "bob" },
    { rule: "c", actor: "bob" },
    { rule: "d", actor: "bob" },
  ].map((each) => ({ ...each, priority: 4 }));
  const places = planIntake(batch, facts, { storedPerHourMax: 100, groupsMax: 10 }, groupIdOf);
  assert.deepEqual(
    places.map(({ groupId }) => groupId),
    ["a/alice", "a/*", "b/*", "c/*", "*/*"],
  );
});

test("fieldsOf() gives what Postgres can hold, within bounds, whatever an agent sends as the body", () => {
  const nasty = fc.oneof(
    fc.json().map((value) => `{"output_fields":${value}}`),
    fc.json(),
    fc.string(),
    fc.constant(
      `{"output_fields":{"a\\u0000":"\\ud800 \\u0000","b":${"[".repeat(5_000)}${"]".repeat(5_000)}}}`,
    ),
    fc.constant(
      JSON.stringify({ output_fields: { long: "x".repeat(60_000), more: "y".repeat(20_000), z: 1 } }),
    ),
  );
  fc.assert(
    fc.property(nasty, (body) => {
      const text = JSON.stringify(fieldsOf(body));
      assert.ok(text.length < 65_000);
      assert.doesNotMatch(text, /\\u0000|\\ud[89a-f]/);
    }),
  );
  const kept = fieldsOf('{"output_fields":{"ka.user.name":"alice","n":1,"none":null,"list":["a"]}}');
  assert.deepEqual({ ...kept }, { "ka.user.name": "alice", n: 1, none: null, list: '["a"]' });
});

const actors: [string, Record<string, string | number | null>, string][] = [
  ["the user of a request", { "ka.user.name": "alice", "user.name": "root" }, "alice"],
  ["the user of a process", { "user.name": "root", "proc.name": "sh" }, "root"],
  ["nobody when the output does not say", { "ka.target.name": "x" }, ""],
  ["nobody for Falco's word for nothing", { "user.name": "<NA>", "user.loginname": null }, ""],
  ["a number", { "user.uid": 0 }, "0"],
];
for (const [what, fields, want] of actors) {
  test(`actorOf() takes ${what}`, () => assert.equal(actorOf(fields), want));
}

const steps = [
  ["open", "acknowledge", "acknowledged"],
  ["open", "resolve", "resolved"],
  ["open", "reopen", "illegal-step"],
  ["acknowledged", "acknowledge", "illegal-step"],
  ["acknowledged", "resolve", "resolved"],
  ["acknowledged", "reopen", "open"],
  ["resolved", "acknowledge", "illegal-step"],
  ["resolved", "resolve", "illegal-step"],
  ["resolved", "reopen", "open"],
] as const;
for (const [from, step, want] of steps) {
  test(`stepAlertGroup() takes ${from} on ${step} to ${want}`, () => {
    const to = stepAlertGroup({ state: from, generation: 3n }, step, 3n);
    assert.equal(to.ok ? to.value : to.refusal.kind, want);
  });
}

test("stepAlertGroup() refuses every step that was decided on what is no longer so", () => {
  for (const state of alertGroupStates) {
    const to = stepAlertGroup({ state, generation: 3n }, "resolve", 2n);
    assert.equal(to.ok ? "done" : to.refusal.kind, "stale");
  }
});
