import assert from "node:assert/strict";
import { test } from "node:test";
import { createConditions } from "./conditions.ts";

function counted() {
  const own = { changes: 0 };
  return { own, conditions: createConditions(() => (own.changes += 1)) };
}

test("a condition whose numbers change every second does not make a report every second", () => {
  const { own, conditions } = counted();
  assert.equal(conditions.raise("output/full x", "12 records wait"), true);
  assert.equal(conditions.raise("output/full x", "340 records wait"), false);
  assert.equal(own.changes, 1);
  assert.equal(conditions.list()[0]?.message, "340 records wait");
  assert.equal(conditions.raise("output/full x", "the disk is full"), true);
  conditions.clear("output/full x");
  conditions.clear("output/full x");
  assert.equal(own.changes, 3);
});

test("conditions stay within what the server takes in a report, whatever they say", () => {
  const { conditions } = counted();
  for (let i = 0; i < 100; i += 1) conditions.raise(`code/${i}`, "\u{1F600}".repeat(2_000));
  assert.equal(conditions.list().length, 32);
  for (const { message } of conditions.list()) assert.ok(Buffer.byteLength(message) <= 1_000);
});
