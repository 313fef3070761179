import assert from "node:assert/strict";
import { test } from "node:test";

import { askedAgents, goneAfterMs, isSilent, silentAfterMs } from "./liveness.ts";

const nowMs = 1_000_000_000_000;

test("isSilent() takes an agent that was never heard of for silent", () => {
  assert.equal(isSilent(undefined, nowMs), true);
  assert.equal(isSilent(nowMs - silentAfterMs, nowMs), false);
  assert.equal(isSilent(nowMs - silentAfterMs - 1, nowMs), true);
});

test("askedAgents() leaves out the record of a node that was replaced long ago", () => {
  const here = { lastSeenMs: nowMs };
  assert.deepEqual(askedAgents([here, { lastSeenMs: nowMs - goneAfterMs - 1 }], nowMs), [here]);
});

test("askedAgents() keeps all agents of a cluster of which nothing is heard", () => {
  const agents = [{ lastSeenMs: nowMs - goneAfterMs - 1 }, {}];
  assert.deepEqual(askedAgents(agents, nowMs), agents);
});
