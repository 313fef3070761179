import assert from "node:assert/strict";
import { test } from "node:test";

import { followChanges } from "./follow-changes.ts";

/** What is done, in order; reading takes a turn of the loop, and fails where it is told to. */
function recorded(failsAt?: number) {
  const done: string[] = [];
  let reads = 0;
  const follow = followChanges(
    {
      forgetTrust: () => done.push("forget"),
      refresh: async (ids) => {
        const some = [...ids];
        reads += 1;
        if (reads === failsAt) throw new Error("The database is away");
        await new Promise((resolve) => setImmediate(resolve));
        done.push(`read ${some.length}`);
        const gone = some.filter((id) => id === "cl_399");
        return { clusterIds: gone, agentIds: gone.map(() => "ag_revoked") };
      },
    },
    {
      endCluster: (id) => done.push(`end ${id}`),
      endAgent: (id) => done.push(`end ${id}`),
      wake: (ids) => done.push(`wake ${[...ids].length}`),
      wakeAll: () => done.push("wake all"),
    },
    { refresh: async () => void done.push("cas") },
  );
  return { done, follow };
}

const clusterIds = new Set(Array.from({ length: 450 }, (_, i) => `cl_${i}`));

test("a wave of many clusters reaches the first of them while the others are still read, and who was revoked is told nothing before that", async () => {
  const { done, follow } = recorded();
  await follow({ clusterIds, isTrustChanged: false });
  const turns = ["read 200,wake 200", "read 200,end cl_399,end ag_revoked,wake 200", "read 50,wake 50"];
  assert.equal(done.join(), turns.join());
});

test("what was read of a wave before the database went away is told, and the rest fails so that all of it is read again", async () => {
  const { done, follow } = recorded(2);
  await assert.rejects(follow({ clusterIds, isTrustChanged: false }), /database is away/);
  assert.deepEqual(done, ["read 200", "wake 200"]);
});

test("new metadata is read before any cluster is told, and everybody hears of it", async () => {
  const { done, follow } = recorded();
  await follow({ clusterIds: new Set(["cl_1"]), isTrustChanged: true });
  assert.deepEqual(done, ["forget", "cas", "read 1", "wake 1", "wake all"]);
});
