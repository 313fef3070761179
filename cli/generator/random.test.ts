import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom } from "./random.ts";

test("createRandom() gives the same dice for the same seed, and others for another", () => {
  const first = createRandom("seed/1");
  const again = createRandom("seed/1");
  const other = createRandom("seed/2");
  const throwTen = (random: ReturnType<typeof createRandom>) =>
    Array.from({ length: 10 }, () => random.next());
  const thrown = throwTen(first);
  assert.deepEqual(throwTen(again), thrown);
  assert.notDeepEqual(throwTen(other), thrown);
});

test("uuid() makes valid version 4 UUIDs that do not repeat, also across similar seeds", () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 100; seed += 1) {
    const random = createRandom(`${seed}/eu-1`);
    for (let i = 0; i < 500; i += 1) {
      const id = random.uuid();
      assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      seen.add(id);
    }
  }
  assert.equal(seen.size, 50_000);
});

test("below() reaches every number under the bound about equally often", () => {
  const random = createRandom("fair");
  const counts = [0, 0, 0, 0, 0];
  for (let i = 0; i < 50_000; i += 1) {
    const at = random.below(5);
    counts[at] = (counts[at] ?? 0) + 1;
  }
  for (const count of counts) assert.ok(Math.abs(count - 10_000) < 500, counts.join(" "));
});
