import assert from "node:assert/strict";
import { test } from "node:test";
import type { AlertFields } from "./alert-file.ts";
import { findNoise } from "./noise.ts";

const options = { alertsMin: 3, proposalsMax: 5 };
const find = (fields: readonly AlertFields[], more = options) =>
  findNoise(
    "R",
    fields.map((one) => ({ rule: "R", fields: one })),
    more,
  ).map(({ fields: names, values, alerts }) => ({
    tuple: Object.fromEntries(names.map((name, i) => [name, values[i]])),
    alerts,
  }));
const repeat = (count: number, fields: AlertFields): readonly AlertFields[] =>
  Array.from({ length: count }, (_, i) => ({ "ka.auditid": `${i}`, "ka.useragent": "kubectl", ...fields }));

test("findNoise() proposes who acts together with all that never varies, and nothing a client can choose", () => {
  const alerts = repeat(4, { "ka.user.name": "ci", "ka.target.namespace": "build", "ka.verb": "create" });
  assert.deepEqual(find(alerts), [
    { tuple: { "ka.user.name": "ci", "ka.target.namespace": "build", "ka.verb": "create" }, alerts: 4 },
  ]);
});

test("findNoise() keeps to the namespaces in which somebody acts again and again", () => {
  const alerts = [
    ...repeat(6, { "ka.user.name": "ci", "ka.target.namespace": "a" }),
    ...repeat(4, { "ka.user.name": "ci", "ka.target.namespace": "b" }),
    ...repeat(1, { "ka.user.name": "ci", "ka.target.namespace": "kube-system" }),
  ];
  assert.deepEqual(find(alerts), [
    { tuple: { "ka.user.name": "ci", "ka.target.namespace": "a" }, alerts: 6 },
    { tuple: { "ka.user.name": "ci", "ka.target.namespace": "b" }, alerts: 4 },
  ]);
});

test("findNoise() never excuses nobody in particular, nor what is rare", () => {
  assert.deepEqual(find(repeat(9, { "ka.user.name": "system:anonymous", "ka.target.namespace": "a" })), []);
  assert.deepEqual(find(repeat(2, { "ka.user.name": "ci" })), []);
});

test("findNoise() leaves out values that cannot stand in a condition and mean what they say", () => {
  assert.deepEqual(find(repeat(9, { "ka.user.name": 'a"b' })), []);
  assert.deepEqual(find(repeat(9, { "ka.user.name": "ci", "ka.target.name": "a\\b" })), [
    { tuple: { "ka.user.name": "ci" }, alerts: 9 },
  ]);
});

test("findNoise() compares lists as a whole", () => {
  const images = ["a", "b"];
  const alerts = repeat(3, { "ka.user.name": "ci", "ka.req.pod.containers.image": images });
  assert.deepEqual(find(alerts), [
    { tuple: { "ka.req.pod.containers.image": images, "ka.user.name": "ci" }, alerts: 3 },
  ]);
});
