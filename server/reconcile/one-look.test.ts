import assert from "node:assert/strict";
import { test } from "node:test";

import { freshDatabase } from "../../test/support/postgres.ts";
import { noteChanges } from "../domain/rollout-noted.ts";
import { wholeFleet } from "../domain/scope.ts";
import { sql } from "../store/drizzle.ts";
import { readRolloutSnapshot } from "../store/rollout-clusters.ts";
import { commitRollout } from "../store/rollout-commits.ts";
import { findRollout } from "../store/rollouts.ts";
import { reconcileRollouts } from "./rollouts.ts";
import { clock, digest, nobodyAsked, prove, seed } from "./testing.ts";

test("a wave is decided on one look at the fleet, so that what it waits for is said and its gates are asked however fast proofs keep coming", async (t) => {
  const db = await freshDatabase(t);
  const rollout = await seed(db, 4);
  await db.execute(sql`update rollout_clusters set wave = 0`);
  await reconcileRollouts(db, clock, nobodyAsked);
  let proofs = 0;
  const proveOne = async () => {
    proofs += 1;
    await db.execute(sql`insert into agent_components (agent_id, kind, running_digest, proved_generation, proved_at)
      values (${`ag_${proofs}`}, 'rules', ${digest}, 1, now())`);
  };
  // One more has proved each time that something was written down.
  const busy = new Proxy(db, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key);
      if (typeof value !== "function") return value;
      const call = value.bind(target) as (...args: unknown[]) => Promise<unknown>;
      if (key !== "transaction") return call;
      return (...args: unknown[]) => call(...args).then((result) => proveOne().then(() => result));
    },
  });
  await proveOne();
  await reconcileRollouts(busy, clock, nobodyAsked);
  const found = await findRollout(db, wholeFleet, rollout.id);
  assert.match(found.ok ? found.value.because : "", /waits for eu-02 .*eu-03 .*eu-04 /);
  const stateOf = async () => {
    const { rows } = await db.execute<{ state: string }>(
      sql`select state from rollout_clusters order by cluster_id`,
    );
    return rows.map(({ state }) => state).join(" ");
  };
  assert.equal(await stateOf(), "proved assigned assigned assigned");
  await reconcileRollouts(db, clock, nobodyAsked);
  assert.equal(await stateOf(), "proved proved proved assigned", "the next look takes what came meanwhile");
});

test("what a step leaves behind is decided on as if the fleet had been read again, for what is assigned, proved, failed and sent back", async (t) => {
  const db = await freshDatabase(t);
  const rollout = await seed(db, 4);
  const changes = ["assigned", "assigned", "assigned", "proved", "failed", "reverted"] as const;
  for (const [i, to] of changes.entries()) {
    const now = clock();
    const seen = await readRolloutSnapshot(db, rollout, now);
    const assign = to === "assigned" ? { assign: digest } : to === "reverted" ? { assign: null } : {};
    const step = [{ id: `cl_${1 + (i % 3)}`, to, reason: `because ${i}`, ...assign }];
    const commit = { before: rollout, after: rollout, changes: step, seen: seen.clusters };
    assert.ok((await commitRollout(db, commit, now)).ok);
    assert.deepEqual(noteChanges(seen, rollout, step), await readRolloutSnapshot(db, rollout, now));
  }
});

test("what proved a wave counts for that wave alone, also when the next one begins in the same activation", async (t) => {
  const db = await freshDatabase(t);
  const { id } = await seed(db, 2);
  let ms = Date.now();
  const ticking = () => new Date((ms += 1));
  await reconcileRollouts(db, ticking, nobodyAsked);
  await prove(db);
  await reconcileRollouts(db, ticking, nobodyAsked);
  const found = await findRollout(db, wholeFleet, id);
  assert.ok(found.ok && found.value.wave === 1);
  const { rows } = await db.execute<{ provedAt: string }>(
    sql`select proved_at as "provedAt" from rollout_clusters where wave = 0`,
  );
  const provedMs = Date.parse(rows[0]?.provedAt ?? "");
  assert.ok(provedMs < (found.value.waves[1]?.startedAtMs ?? 0));
});

test("no proof is waited for of a cluster that has lost its only agent, nor of one whose agent is silent", async (t) => {
  const db = await freshDatabase(t);
  await seed(db, 4);
  await db.execute(sql`update rollout_clusters set wave = 0`);
  await reconcileRollouts(db, clock, nobodyAsked);
  await db.execute(sql`update agents set revoked_at = now() where id = 'ag_1'`);
  await db.execute(sql`update agents set last_seen_at = now() - interval '1 day' where id = 'ag_2'`);
  const waiting: number[] = [];
  const onWaiting = (clusters: number) => void waiting.push(clusters);
  await reconcileRollouts(db, clock, { ...nobodyAsked, onWaiting });
  assert.equal(waiting.at(-1), 2, "of the one and of the silent one no proof will come");
});
