import assert from "node:assert/strict";
import { test } from "node:test";
import { isCanary, withHops } from "./canary.ts";

test("an alert about a canary says when it was where, and all that it said before", () => {
  const body = JSON.stringify({ rule: "Canary Request", output: "falconry-canary-1a2b }", tags: ["{}"] });
  const hops = { readMs: 1, matchedMs: 2, sentMs: 3 };
  assert.equal(isCanary(body), true);
  assert.deepEqual(JSON.parse(withHops(body, hops)), { ...JSON.parse(body), falconry_hops: hops });
});

test("nobody makes an alert too long for the server by calling something long a canary", () => {
  assert.equal(isCanary(JSON.stringify({ output: `falconry-canary-${"x".repeat(20_000)}` })), false);
  assert.equal(isCanary(JSON.stringify({ output: "a config map was read" })), false);
});
