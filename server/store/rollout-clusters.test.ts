import assert from "node:assert/strict";
import { test } from "node:test";

import { freshDatabase } from "../../test/support/postgres.ts";
import { reconcileRollouts } from "../reconcile/rollouts.ts";
import { clock, digest, nobodyAsked, prove, seed } from "../reconcile/testing.ts";
import { sql } from "./drizzle.ts";
import { readRolloutSnapshot } from "./rollout-clusters.ts";

test("each cluster is looked at once, with all of its agents and none of another's, also when it has none", async (t) => {
  const db = await freshDatabase(t);
  const rollout = await seed(db, 3);
  await db.execute(sql`insert into agents (id, cluster_id, name, public_key, certificate_serial, certificate_expires_at,
    created_at, last_seen_at, revoked_at)
    select 'ag_more_' || n, 'cl_2', 'node-' || n, '\\x00', 'more-' || n, now(), now(), now(), case when n = 3 then now() end
    from generate_series(2, 4) n`);
  await db.execute(sql`delete from agents where cluster_id = 'cl_3'`);
  await db.execute(sql`insert into attempts (agent_id, kind, digest, generation, at, phase, reason, detail) values
    ('ag_more_4', 'rules', ${digest}, 6, now(), 'applied', '', ''),
    ('ag_more_4', 'rules', ${digest}, 7, now() - interval '1 day', 'rejected', 'rules/invalid', 'it is none'),
    ('ag_more_4', 'shipper', ${digest}, 8, now(), 'applied', '', '')`);
  const { clusters } = await readRolloutSnapshot(db, rollout, clock());
  assert.deepEqual(
    clusters.map(({ name, agents }) => [name, ...agents.map((agent) => agent.name)]),
    [["eu-01", "node-1"], ["eu-02", "node-1", "node-2", "node-4"], ["eu-03"]],
    "revoked agents are not asked",
  );
  const attempt = clusters[1]?.agents[2]?.attempt;
  assert.deepEqual(attempt, {
    digest,
    generation: 7n,
    phase: "rejected",
    reason: "rules/invalid",
    detail: "it is none",
  });
  assert.equal(clusters[1]?.agents[1]?.attempt, undefined);
});

test("times are read as they were written, to the millisecond, so that what happened at once is not taken for later", async (t) => {
  const db = await freshDatabase(t);
  const rollout = await seed(db, 1);
  for (let i = 0; i < 60; i += 1) {
    // Today, and from 2038 to 2039, when seconds in floating point are coarser than a thousandth of milliseconds in it.
    const [from, span] = i % 2 === 0 ? [1_790_000_000_000, 3e10] : [2_150_000_000_000, 4e10];
    const at = new Date(from + Math.floor(Math.random() * span));
    const text = at.toISOString();
    await db.execute(
      sql`update rollout_clusters set assigned_at = ${text}::timestamptz, proved_at = ${text}::timestamptz`,
    );
    const { clusters } = await readRolloutSnapshot(db, rollout, clock());
    assert.equal(clusters[0]?.assignedAtMs, at.getTime());
    assert.equal(clusters[0]?.provedAtMs, at.getTime());
  }
});

test("operators are told once of each proof how long it took since the assignment", async (t) => {
  const db = await freshDatabase(t);
  const rollout = await seed(db, 3);
  await db.execute(sql`update rollout_clusters set wave = 0 where cluster_id <> 'cl_3'`);
  const told: [string, number][] = [];
  const tools = {
    ...nobodyAsked,
    onProved: (kind: string, seconds: number) => void told.push([kind, seconds]),
  };
  await reconcileRollouts(db, clock, tools);
  assert.equal(told.length, 0);
  await db.execute(
    sql`update rollout_clusters set assigned_at = assigned_at - interval '20 seconds' where cluster_id = 'cl_2'`,
  );
  await prove(db);
  await reconcileRollouts(db, clock, tools);
  const first = told.splice(0).toSorted(([, a], [, b]) => a - b);
  assert.deepEqual(
    first.map(([kind, seconds]) => [kind, Math.round(seconds / 20)]),
    [
      ["rules", 0],
      ["rules", 1],
    ],
    `of ${rollout.id}`,
  );
  await reconcileRollouts(db, clock, tools);
  assert.equal(told.length, 0, "nothing is told twice");
});
