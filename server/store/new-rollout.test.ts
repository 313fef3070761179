import assert from "node:assert/strict";
import { test } from "node:test";

import { explaining } from "../../test/support/explaining.ts";
import { freshDatabase } from "../../test/support/postgres.ts";
import { clock, seed } from "../reconcile/testing.ts";
import { wholeFleet } from "../domain/scope.ts";
import { readFleet } from "./fleet.ts";
import { admitLate } from "./rollout-admissions.ts";
import { readRolloutSnapshot } from "./rollout-clusters.ts";
import { commitRollout } from "./rollout-commits.ts";

const clusters = 300;

test("the first steps of a rollout cost the database what each cluster costs, and not each of them times all others, though it has no statistics of it yet", async (t) => {
  const db = await freshDatabase(t);
  const rollout = await seed(db, clusters);
  const inVain: number[] = [];
  const looked = explaining(db, inVain);
  const fleet = await readFleet(looked, wholeFleet, "rules", clock());
  assert.equal(fleet.filter(({ busyWith }) => busyWith === rollout.id).length, clusters);
  assert.equal(await admitLate(looked, rollout), 0, "nobody came late");
  const { clusters: seen } = await readRolloutSnapshot(looked, rollout, clock());
  assert.equal(seen.length, clusters);
  const changes = seen.map(({ id }) => ({ id, to: "assigned", assign: rollout.digest, reason: "" }) as const);
  const after = { ...rollout, generation: rollout.generation + 1n };
  const committed = await commitRollout(looked, { before: rollout, after, changes, seen }, clock());
  assert.ok(committed.ok, "nothing changed since it was looked at");
  const again = await commitRollout(
    looked,
    { before: after, after: { ...after, generation: after.generation + 1n }, changes: [], seen },
    clock(),
  );
  assert.equal(again.ok, false, "all of them were assigned since");
  assert.ok(inVain.length > 6, `${inVain.length} statements were looked at`);
  assert.ok(Math.max(...inVain) < 2 * clusters, `${inVain.join(", ")} pairs`);
});
