import assert from "node:assert/strict";
import { test } from "node:test";

import { createEstimator } from "./estimate.ts";
import type { AuditPolicy } from "./policy.ts";

const policy: AuditPolicy = {
  omitStages: ["RequestReceived"],
  rules: [
    { level: "None", resources: [{ group: "", resources: ["events"] }] },
    { level: "Metadata", resources: [{ group: "", resources: ["secrets"] }] },
    { level: "RequestResponse", resources: [{ group: "", resources: ["pods"] }] },
  ],
};
const at = (second: number) => `2026-01-01T00:00:${String(second).padStart(2, "0")}.000000Z`;
const event = (resource: string, level: string, second: number, more: object = {}) => ({
  auditID: "a",
  level,
  stage: "ResponseComplete",
  verb: "create",
  objectRef: { resource },
  stageTimestamp: at(second),
  ...more,
});
const bodies = { requestObject: { data: "x".repeat(100) }, responseObject: { data: "y".repeat(200) } };

function estimate(...lines: readonly (object | string)[]) {
  const estimator = createEstimator(policy);
  for (const line of lines) estimator.add(typeof line === "string" ? line : JSON.stringify(line));
  return estimator.end();
}

test("bodies that the policy does not want are not counted, those it wants are, and so is what it leaves out", () => {
  const bare = event("secrets", "Metadata", 0);
  const secret = event("secrets", "RequestResponse", 0, bodies);
  const pod = event("pods", "RequestResponse", 10, bodies);
  const { events, recorded, byRule, spanMs } = estimate(secret, pod, event("events", "Metadata", 5));
  const bareBytes = JSON.stringify(bare).length + 1;
  assert.equal(events, 3);
  assert.equal(spanMs, 10_000);
  assert.deepEqual(byRule[0], { matched: 1, events: 0, bytes: 0, withoutBody: 0 });
  assert.deepEqual(byRule[1], { matched: 1, events: 1, bytes: bareBytes, withoutBody: 0 });
  assert.deepEqual(byRule[2], {
    matched: 1,
    events: 1,
    bytes: JSON.stringify(pod).length + 1,
    withoutBody: 0,
  });
  assert.equal(recorded.bytes, bareBytes + JSON.stringify(pod).length + 1);
});

test("a sample that lacks bodies says so, so that nobody takes the figure for the whole", () => {
  const { recorded } = estimate(
    event("pods", "Metadata", 0),
    event("pods", "Request", 0),
    event("secrets", "Metadata", 0),
  );
  assert.equal(recorded.withoutBody, 2);
});

test("stages that the policy omits and events that no rule matches are not written, and are told apart", () => {
  const { recorded, byRule } = estimate(
    { ...event("pods", "RequestResponse", 0), stage: "RequestReceived" },
    event("nodes", "Metadata", 0),
  );
  assert.equal(recorded.events, 0);
  assert.equal(byRule[2]?.matched, 1);
  assert.equal(byRule[3]?.matched, 1);
});

test("lines that are no audit event are counted and stop nothing", () => {
  const { events, unreadable, spanMs } = estimate(
    "",
    "not json",
    "null",
    '{"kind":"Event"}',
    event("pods", "None", 3),
  );
  assert.deepEqual([events, unreadable, spanMs], [1, 3, 0]);
});

test("managed fields that the policy leaves out are not counted: of objects, lists and tables, but not of patches", () => {
  const metadata = { name: "n", managedFields: [{ manager: "x".repeat(500) }] };
  const bare = { metadata: { name: "n" } };
  const written = (verb: string, requestObject: object, responseObject: object, rule: object = {}) => {
    const estimator = createEstimator({
      omitManagedFields: true,
      rules: [{ level: "RequestResponse", ...rule }],
    });
    const { level, ...more } = event("pods", "RequestResponse", 0, { verb, requestObject, responseObject });
    estimator.add(JSON.stringify({ ...more, level }));
    return estimator.end().recorded.bytes;
  };
  const list = (item: object) => ({ kind: "PodList", items: [item] });
  const table = (object: object) => ({ kind: "Table", rows: [{ cells: ["n"], object }] });
  assert.equal(written("create", { metadata }, { metadata }), written("create", bare, bare));
  assert.equal(written("list", bare, list({ metadata })), written("list", bare, list(bare)));
  assert.equal(written("list", bare, table({ metadata })), written("list", bare, table(bare)));
  assert.ok(written("patch", { metadata }, bare) > written("patch", bare, bare) + 500);
  assert.ok(
    written("create", { metadata }, bare, { omitManagedFields: false }) > written("create", bare, bare) + 500,
    "a rule decides for itself",
  );
});
