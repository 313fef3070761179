import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";

import { askedAgents, goneAfterMs, isSilent, recentAgents, silentAfterMs } from "./liveness.ts";

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

test("askedAgents() does not ask an agent that has left beside others, but one that only restarts", () => {
  const here = { lastSeenMs: nowMs };
  const longAgo = nowMs - silentAfterMs - 1;
  assert.deepEqual(askedAgents([here, { lastSeenMs: longAgo, leftMs: longAgo }], nowMs), [here]);
  const restarts = [here, { lastSeenMs: nowMs - 5_000, leftMs: nowMs - 5_000 }];
  assert.deepEqual(askedAgents(restarts, nowMs), restarts);
  const cameBack = [here, { lastSeenMs: longAgo, leftMs: longAgo - silentAfterMs }];
  assert.deepEqual(askedAgents(cameBack, nowMs), cameBack, "it was lost after it had come back");
});

test("recentAgents() keeps an agent that has left, which may come back as it was, and none that is gone for a day beside others", () => {
  const longAgo = nowMs - silentAfterMs - 1;
  const [left, lost] = [{ lastSeenMs: longAgo, leftMs: longAgo }, { lastSeenMs: nowMs - goneAfterMs - 1 }];
  assert.deepEqual(recentAgents([{ lastSeenMs: nowMs }, left, lost], nowMs), [{ lastSeenMs: nowMs }, left]);
  assert.deepEqual(recentAgents([lost], nowMs), [lost]);
});

/** As it may be after any of the bounds, and just before. */
const agoMs = fc.constantFrom(0, silentAfterMs, silentAfterMs + 1, goneAfterMs, goneAfterMs + 1);
const someAgents = fc.array(
  fc.record({ seen: fc.option(agoMs, { nil: undefined }), left: fc.option(agoMs, { nil: undefined }) }),
  { minLength: 1, maxLength: 5 },
);

test("askedAgents() lets no goodbye make silence look like health, nor take away the word of another agent", () => {
  fc.assert(
    fc.property(someAgents, fc.nat(4), (made, i) => {
      const agents = made.map(({ seen, left }) => ({
        ...(seen === undefined ? {} : { lastSeenMs: nowMs - seen }),
        ...(left === undefined ? {} : { leftMs: nowMs - left }),
      }));
      const asked = askedAgents(agents, nowMs);
      const isHeard = agents.some(({ lastSeenMs }) => !isSilent(lastSeenMs, nowMs));
      assert.ok(asked.length > 0, "nobody is asked");
      assert.ok(isHeard || asked.every(({ lastSeenMs }) => isSilent(lastSeenMs, nowMs)));
      for (const agent of agents) {
        const isOfToday = nowMs - (agent.lastSeenMs ?? 0) <= goneAfterMs;
        assert.ok(agent.leftMs !== undefined || !isOfToday || asked.includes(agent), "it said no goodbye");
      }
      // When all have left, all are asked, and all are silent.
      const away = nowMs - silentAfterMs - 1;
      const gone = agents.map((agent) => ({ ...agent, lastSeenMs: away, leftMs: away }));
      assert.deepEqual(askedAgents(gone, nowMs), gone);
      // Whatever one of them says of itself, the others are asked as before.
      const liar = agents[i % agents.length]!;
      const lie = { ...liar, leftMs: nowMs };
      const then = askedAgents(
        agents.map((agent) => (agent === liar ? lie : agent)),
        nowMs,
      );
      assert.ok(asked.every((agent) => agent === liar || then.includes(agent)));
    }),
  );
});
