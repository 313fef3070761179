import assert from "node:assert/strict";
import { wholeFleet } from "../domain/scope.ts";
import { test } from "node:test";

import { sql } from "drizzle-orm";

import { freshDatabase, type TestDatabase } from "../../test/support/postgres.ts";
import { makeId, type Digest } from "../domain/ids.ts";
import { planRollout } from "../domain/rollout-plan.ts";
import type { RolloutSpec } from "../domain/rollout-spec.ts";
import { planAbort } from "../domain/rollout-decisions.ts";
import { planStep } from "../domain/rollout-step.ts";
import { stepRollout, type Rollout } from "../domain/rollout.ts";
import { insertFreeze, liftFreeze } from "../store/freezes.ts";
import { readFleet } from "../store/fleet.ts";
import type { Database } from "../store/pool.ts";
import { readRolloutSnapshot } from "../store/rollout-clusters.ts";
import { commitRollout } from "../store/rollout-commits.ts";
import { findRollout, insertRollout } from "../store/rollouts.ts";
import { reconcileRollouts } from "./rollouts.ts";

const digest = `sha256:${"b".repeat(64)}` as Digest;
const clock = () => new Date();
const spec: RolloutSpec = {
  kind: "rules",
  bundle: "",
  selector: [],
  canary: 1,
  growth: 1,
  regionOrder: [],
  failuresMax: 0,
  soakSeconds: 0,
  deadlineSeconds: 600,
  onFailure: "pause",
};

/** Clusters with an agent each that is heard of, a bundle, and a rollout of it in waves of one. */
async function seed(db: TestDatabase, count: number): Promise<Rollout> {
  await db.execute(sql`insert into bundles (digest, kind, name, version, target_path, length, content, targets_version,
    pushed_at, pushed_by) values (${digest}, 'rules', 'starter', '1.0.0', 'p', 1, '\\x00', 1, now(), 'test')`);
  await db.execute(sql`insert into clusters (id, name, uid, labels, created_at)
    select 'cl_' || n, 'eu-' || to_char(n, 'FM00'), 'uid-' || n, '{"region":"eu"}', now() from generate_series(1, ${count}::int) n`);
  await db.execute(sql`insert into agents (id, cluster_id, name, public_key, certificate_serial, certificate_expires_at,
    created_at, last_seen_at)
    select 'ag_' || n, 'cl_' || n, 'node-1', '\\x00', '', now(), now(), now() from generate_series(1, ${count}::int) n`);
  const plan = planRollout(spec, digest, await readFleet(db, wholeFleet, "rules", clock()));
  assert.ok(plan.ok);
  const rollout: Rollout = {
    id: makeId("rollout", new Uint8Array(10)),
    spec,
    digest,
    state: "running",
    because: "",
    wave: 0,
    generation: 1n,
    planDigest: "",
    waves: plan.value.waves.map(({ name }) => ({ name })),
    createdBy: "test",
    scope: wholeFleet,
    createdAtMs: Date.now(),
  };
  await db.transaction((tx) => insertRollout(tx, rollout, plan.value, ""));
  return rollout;
}

/** What agents do: everybody proves what they are assigned. */
async function prove(db: TestDatabase): Promise<void> {
  await db.execute(sql`insert into agent_components (agent_id, kind, running_digest, proved_generation, proved_at)
    select g.id, 'rules', a.rules_digest, a.generation, now() from agents g join assignments a using (cluster_id)
    on conflict (agent_id, kind) do update set running_digest = excluded.running_digest,
      proved_generation = excluded.proved_generation, proved_at = excluded.proved_at`);
}

class Killed extends Error {}

/** A database as a server that is killed sees it: a statement, or a commit's answer, after which nothing comes. */
function mortal(db: Database, random: () => number): Database {
  const dying = <T extends object>(target: T, left: { statements: number }): T =>
    new Proxy(target, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key);
        if (typeof value !== "function") return value;
        const call = value.bind(target) as (...args: unknown[]) => unknown;
        if (key === "transaction") {
          return async (work: (tx: object) => Promise<unknown>) => {
            const result = await call((tx: object) => work(dying(tx, left)));
            if ((left.statements -= 1) === 0) throw new Killed();
            return result;
          };
        }
        if (key !== "execute") return call;
        return (...args: unknown[]) => {
          if ((left.statements -= 1) === 0) throw new Killed();
          return call(...args);
        };
      },
    });
  return dying(db, { statements: 1 + Math.floor(random() * 12) });
}

/** Mulberry32: a seed that fails can be run again. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

test("two servers that are killed again and again give each cluster the bundle once, in order, and come to the end", async (t) => {
  const db = await freshDatabase(t);
  const rollout = await seed(db, 10);
  const random = randomOf(42);
  let kills = 0;
  const done = new AbortController();
  const server = async () => {
    while (!done.signal.aborted) {
      await reconcileRollouts(mortal(db, random), clock).catch((error: unknown) => {
        if (!(error instanceof Error && error.cause instanceof Killed) && !(error instanceof Killed)) {
          throw error;
        }
        kills += 1;
      });
    }
  };
  const fleet = async () => {
    const end = performance.now() + 60_000;
    while (!done.signal.aborted) {
      assert.ok(performance.now() < end, "the rollout never came to its end");
      await prove(db);
      const found = await findRollout(db, wholeFleet, rollout.id);
      if (found.ok && found.value.state !== "running") done.abort();
    }
  };
  await Promise.all([server(), server(), fleet()]);

  const found = await findRollout(db, wholeFleet, rollout.id);
  assert.equal(found.ok && found.value.state, "succeeded");
  assert.ok(kills > 5, `only ${kills} kills happened`);
  const { rows } = await db.execute<{ generation: string; state: string; early: boolean | null }>(sql`
    select a.generation, rc.state, rc.assigned_at < lag(rc.proved_at) over (order by rc.wave) as early
    from rollout_clusters rc join assignments a using (cluster_id) order by rc.wave`);
  assert.deepEqual(
    rows.map((row) => [row.generation, row.state]),
    Array.from({ length: 10 }, () => ["1", "proved"]),
  );
  assert.ok(
    rows.every((row) => !row.early),
    "a wave began before the one before it had proved",
  );
});

test("a rollout that cannot go on does not hold up the others", async (t) => {
  const db = await freshDatabase(t);
  const rollout = await seed(db, 1);
  // A state that no code knows, as a newer server might have left it.
  await db.execute(sql`insert into rollouts select (r).* from (select jsonb_populate_record(o,
    '{"id":"ro_00broken","request_id":"other","state":"from-the-future","created_at":"2020-01-01T00:00:00Z"}') as r
    from rollouts o) x`);
  await assert.rejects(reconcileRollouts(db, clock), /ro_00broken could not take its next step/);
  const { rows } = await db.execute<{ state: string }>(
    sql`select state from rollout_clusters where rollout_id = ${rollout.id}`,
  );
  assert.deepEqual(rows, [{ state: "assigned" }]);
});

test("an abort that was decided before a cluster was assigned is decided again, so that no cluster keeps the bundle unseen", async (t) => {
  const db = await freshDatabase(t);
  const rollout = await seed(db, 2);
  const seen = await readRolloutSnapshot(db, rollout, clock());
  assert.ok(await reconcileRollouts(db, clock));
  const after = stepRollout(rollout, "abort", "aborted", Date.now());
  assert.ok(after.ok);
  const commit = { before: rollout, after: after.value, changes: planAbort(seen), seen: seen.clusters };
  const committed = await commitRollout(db, commit, clock());
  assert.equal(!committed.ok && committed.refusal.kind, "stale");
  const again = await readRolloutSnapshot(db, rollout, clock());
  const second = await commitRollout(db, { ...commit, seen: again.clusters }, clock());
  assert.ok(second.ok);
});

test("a wave that was decided before a freeze and is written after it does not begin, and goes on when it ends", async (t) => {
  const db = await freshDatabase(t);
  const rollout = await seed(db, 1);
  const seen = await readRolloutSnapshot(db, rollout, clock());
  const { changes, begins, because } = planStep(seen);
  assert.equal(begins, true);
  await db.transaction((tx) => insertFreeze(tx, { reason: "incident", by: "ada" }, clock()));
  const commit = {
    before: rollout,
    after: { ...rollout, because },
    changes,
    seen: seen.clusters,
    begins: true,
  };
  const late = await commitRollout(db, commit, clock());
  assert.equal(!late.ok && late.refusal.kind, "stale");
  await reconcileRollouts(db, clock);
  const held = await findRollout(db, wholeFleet, rollout.id);
  assert.match(held.ok ? held.value.because : "", /does not begin: the fleet is frozen by ada/);
  assert.equal(await reconcileRollouts(db, clock), false, "it is said once");
  await db.transaction((tx) => liftFreeze(tx, "ada", clock()));
  await reconcileRollouts(db, clock);
  const { rows } = await db.execute(sql`select 1 from assignments where rules_digest = ${digest}`);
  assert.equal(rows.length, 1);
});

test("the newest attempt is the one of the newest assignment, also of an agent whose clock was a day ahead once", async (t) => {
  const db = await freshDatabase(t);
  const rollout = await seed(db, 1);
  await reconcileRollouts(db, clock);
  await db.execute(sql`insert into attempts (agent_id, kind, digest, generation, at, phase) values
    ('ag_1', 'rules', 'sha256:old', 0, now() + interval '1 day', 'applied'),
    ('ag_1', 'rules', ${digest}, 1, now(), 'rejected')`);
  await reconcileRollouts(db, clock);
  const found = await findRollout(db, wholeFleet, rollout.id);
  assert.equal(found.ok && found.value.state, "paused");
});
