import assert from "node:assert/strict";
import { test } from "node:test";

import { createBatcher } from "./batcher.ts";

test("what many add within a moment is written once, and each waits for its own", async () => {
  const written: (readonly number[])[] = [];
  const batcher = createBatcher(
    (items: readonly number[]) => {
      written.push([...items]);
      return Promise.resolve();
    },
    5,
    100,
  );
  await Promise.all([batcher.add([1]), batcher.add([2, 3]), batcher.add([])]);
  await batcher.add([4]);
  assert.deepEqual(written, [[1, 2, 3], [4]]);
});

test("a full batch does not wait for the moment to pass, and one that fails tells all who added to it", async () => {
  const batcher = createBatcher(
    (items: readonly number[]) => Promise.reject(new Error(`${items.length} lost`)),
    60_000,
    2,
  );
  const results = await Promise.allSettled([batcher.add([1]), batcher.add([2])]);
  assert.deepEqual(
    results.map((result) => result.status === "rejected" && String(result.reason)),
    ["Error: 2 lost", "Error: 2 lost"],
  );
});
