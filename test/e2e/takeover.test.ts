/** Two real server processes on one database; agents that speak the real protocol through both. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { measureTakeovers } from "../load/takeover/measure.ts";
import { freshDatabaseUrl } from "../support/postgres.ts";

test("kill -9 of the server that reconciles, at random moments: the other one ends the rollout, no target is skipped or assigned twice, no call of a person at it fails", async (t) => {
  const seed = Math.floor(Math.random() * 1e6);
  const played = await measureTakeovers(await freshDatabaseUrl(t), {
    rounds: 2,
    waves: 4,
    seed,
    say: (round) => t.diagnostic(JSON.stringify(round)),
  });
  assert.equal(played.filter(({ killed }) => killed !== undefined).length, 2);
  assert.deepEqual(
    played.flatMap(({ faults, moment }) => faults.map((fault) => `seed ${moment?.seed}: ${fault}`)),
    [],
  );
});
