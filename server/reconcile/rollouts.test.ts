import assert from "node:assert/strict";
import { wholeFleet } from "../domain/scope.ts";
import { test } from "node:test";

import { sql } from "../store/drizzle.ts";

import { freshDatabase } from "../../test/support/postgres.ts";
import { layerComponent } from "../domain/component.ts";
import { planAbort } from "../domain/rollout-decisions.ts";
import { planStep } from "../domain/rollout-step.ts";
import { stepRollout } from "../domain/rollout.ts";
import { refuse } from "../domain/refusal.ts";
import type { BundleLoader } from "../loading/loader.ts";
import { rulesBundle, testLoader } from "../testing.ts";
import { createMetrics } from "../metrics.ts";
import { insertFreeze, liftFreeze } from "../store/freezes.ts";
import { readFleet } from "../store/fleet.ts";
import type { Database } from "../store/pool.ts";
import { readRolloutSnapshot } from "../store/rollout-clusters.ts";
import { commitRollout } from "../store/rollout-commits.ts";
import { findRollout } from "../store/rollouts.ts";
import { reconcileRollouts } from "./rollouts.ts";
import { clock, digest, nobodyAsked, prove, seed } from "./testing.ts";

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
      await reconcileRollouts(mortal(db, random), clock, nobodyAsked).catch((error: unknown) => {
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

test("a wave does not wait for an agent that left while another of its cluster answers, and never passes on one that left last", async (t) => {
  const db = await freshDatabase(t);
  const rollout = await seed(db, 2);
  await db.execute(sql`insert into agents (id, cluster_id, name, public_key, certificate_serial, certificate_expires_at,
    created_at, last_seen_at, left_at) select 'ag_old', 'cl_1', 'node-0', '\\x00', '', now(), now(), at, at
    from (select now() - interval '5 minutes' as at) x`);
  await db.execute(sql`update agents set last_seen_at = now() - interval '5 minutes', left_at = now() - interval '5 minutes'
    where id = 'ag_2'`);
  await reconcileRollouts(db, clock, nobodyAsked);
  await prove(db);
  await db.execute(sql`delete from agent_components where agent_id <> 'ag_1'`);
  await reconcileRollouts(db, clock, nobodyAsked);
  const found = await findRollout(db, wholeFleet, rollout.id);
  assert.ok(found.ok);
  assert.deepEqual([found.value.state, found.value.wave], ["running", 1]);
  assert.match(found.value.because, /waits for eu-02 \(agent "node-1" has left, and no other is there\)/);
  // Its proof was said before it left, so that it soaks watched by nobody.
  await prove(db);
  await reconcileRollouts(db, clock, nobodyAsked);
  const missed = await findRollout(db, wholeFleet, rollout.id);
  assert.equal(missed.ok && missed.value.state, "running");
  assert.match(
    missed.ok ? missed.value.because : "",
    /waits to hear again of eu-02 \(agent "node-1" has left/,
  );
});

test("an agent that tried the bundle of a wave and was stopped holds the wave up as one that was lost does, and its failure and troubles count", async (t) => {
  const db = await freshDatabase(t);
  const rollout = await seed(db, 1);
  const left = { sick: "ag_sick", drained: "ag_drained" };
  await db.execute(sql`insert into agents (id, cluster_id, name, public_key, certificate_serial, certificate_expires_at,
    created_at, last_seen_at, left_at) select id, 'cl_1', id, '\\x00', '', now(), now(), at, at
    from (select now() - interval '5 minutes' as at) x, unnest(array['ag_sick', 'ag_drained']) id`);
  await reconcileRollouts(db, clock, nobodyAsked);
  await db.execute(sql`insert into attempts (agent_id, kind, digest, generation, at, phase)
    select ${left.sick}, 'rules', ${digest}, generation, now(), 'applying' from assignments`);
  await prove(db);
  await db.execute(sql`delete from agent_components where agent_id <> 'ag_1'`);
  await reconcileRollouts(db, clock, nobodyAsked);
  const look = async () => {
    const found = await findRollout(db, wholeFleet, rollout.id);
    assert.ok(found.ok);
    const { clusters } = await readRolloutSnapshot(db, found.value, clock());
    const { agents = [], leftWith = [] } = clusters[0] ?? {};
    const asked = agents.map(({ name, raised = [] }) => [name, ...raised].join(" "));
    return { state: found.value.state, because: found.value.because, asked, leftWith };
  };
  const waits = await look();
  assert.match(waits.because, /waits for eu-01 \(agent "ag_sick" has left without a proof\)/);
  assert.deepEqual(waits.asked, ["ag_sick", "node-1"], "the one that never tried it is not waited for");

  // It had proved it, was ill with it, and somebody stopped it.
  await db.execute(sql`update attempts set phase = 'applied'`);
  await db.execute(sql`insert into agent_components (agent_id, kind, running_digest, running_since, proved_generation, proved_at)
    select id, 'rules', ${digest}, now() - interval '8 minutes', generation, now() from assignments, unnest(array['ag_sick', 'ag_drained']) id`);
  assert.deepEqual(await look(), { ...waits, asked: ["node-1"], leftWith: ["ag_drained", "ag_sick"] });
  const condition = { code: "engine/slow", message: "", since: new Date(Date.now() - 400_000).toISOString() };
  await db.execute(
    sql`update agents set conditions = ${JSON.stringify([condition])}::jsonb where id = ${left.sick}`,
  );
  assert.deepEqual((await look()).asked, ["node-1"], "it left before its cluster was given it");
  await db.execute(sql`update rollout_clusters set assigned_at = now() - interval '9 minutes'`);
  assert.deepEqual((await look()).asked, ["ag_sick engine/slow", "node-1"]);

  await db.execute(sql`update attempts set phase = 'rolled-back', reason = 'soak/crash-loop'`);
  await reconcileRollouts(db, clock, nobodyAsked);
  const failed = await look();
  assert.deepEqual([failed.state, failed.leftWith], ["paused", ["ag_drained", "ag_sick"]]);
  assert.match(failed.because, /agent "ag_sick" went back by itself: soak\/crash-loop/);
});

test("a plan goes by what agents that left can do, because they may come back", async (t) => {
  const db = await freshDatabase(t);
  await seed(db, 1);
  await db.execute(sql`update agents set engine_version = '2.0.0', capabilities = '{layers}'`);
  await db.execute(sql`insert into agents (id, cluster_id, name, public_key, certificate_serial, certificate_expires_at,
    created_at, last_seen_at, left_at, engine_version) select 'ag_old', 'cl_1', 'node-0', '\\x00', '', now(), now(), at, at, '1.0.0'
    from (select now() - interval '5 minutes' as at) x`);
  await db.execute(sql`insert into assignments (cluster_id, generation, rules_digest, changed_at) values ('cl_1', 1, ${digest}, now())
    on conflict (cluster_id) do update set rules_digest = excluded.rules_digest`);
  const [cluster] = await readFleet(db, wholeFleet, layerComponent("payments"), clock());
  assert.deepEqual([cluster?.engines?.toSorted(), cluster?.silent], [["1.0.0", "2.0.0"], false]);
  assert.match(cluster?.unfit ?? "", /knows of no layers/);
  await db.execute(sql`update agents set last_seen_at = now() - interval '25 hours', left_at = now() - interval '25 hours'
    where id = 'ag_old'`);
  const [later] = await readFleet(db, wholeFleet, layerComponent("payments"), clock());
  assert.deepEqual([later?.engines, later?.unfit], [["2.0.0"], undefined]);
});

test("the metric of rollouts counts by state those that have not ended, and goes back to none", async (t) => {
  const db = await freshDatabase(t);
  await seed(db, 1);
  const metrics = createMetrics(db.$client, () => []);
  t.after(() => metrics.stop());
  const counted = async () => {
    await reconcileRollouts(db, clock, { ...nobodyAsked, onUnfinished: metrics.noteRollouts });
    const lines = (await metrics.text()).matchAll(/^falconry_rollouts\{state="(.+)"\} (\d+)$/gm);
    return Object.fromEntries([...lines].map(([, state, count]) => [state, Number(count)]));
  };
  const none = { running: 0, paused: 0, "rolling-back": 0, "awaiting-approval": 0, scheduled: 0 };
  assert.deepEqual(await counted(), { ...none, running: 1 });
  await db.execute(sql`update rollouts set state = 'paused'`);
  assert.deepEqual(await counted(), { ...none, paused: 1 });
  await db.execute(sql`update rollouts set state = 'aborted', finished_at = now()`);
  assert.deepEqual(await counted(), none);
});

test("a rollout that cannot go on does not hold up the others", async (t) => {
  const db = await freshDatabase(t);
  const rollout = await seed(db, 1);
  // A state that no code knows, as a newer server might have left it.
  await db.execute(sql`insert into rollouts select (r).* from (select jsonb_populate_record(o,
    '{"id":"ro_00broken","request_id":"other","state":"from-the-future","created_at":"2020-01-01T00:00:00Z"}') as r
    from rollouts o) x`);
  await assert.rejects(reconcileRollouts(db, clock, nobodyAsked), /ro_00broken could not take its next step/);
  const { rows } = await db.execute<{ state: string }>(
    sql`select state from rollout_clusters where rollout_id = ${rollout.id}`,
  );
  assert.deepEqual(rows, [{ state: "assigned" }]);
});

test("an abort that was decided before a cluster was assigned is decided again, so that no cluster keeps the bundle unseen", async (t) => {
  const db = await freshDatabase(t);
  const rollout = await seed(db, 2);
  const seen = await readRolloutSnapshot(db, rollout, clock());
  assert.ok(await reconcileRollouts(db, clock, nobodyAsked));
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
  await reconcileRollouts(db, clock, nobodyAsked);
  const held = await findRollout(db, wholeFleet, rollout.id);
  assert.match(held.ok ? held.value.because : "", /does not begin: the fleet is frozen by ada/);
  assert.equal(await reconcileRollouts(db, clock, nobodyAsked), false, "it is said once");
  await db.transaction((tx) => liftFreeze(tx, "ada", clock()));
  await reconcileRollouts(db, clock, nobodyAsked);
  const { rows } = await db.execute(sql`select 1 from assignments where rules_digest = ${digest}`);
  assert.equal(rows.length, 1);
});

test("the newest attempt is the one of the newest assignment, also of an agent whose clock was a day ahead once", async (t) => {
  const db = await freshDatabase(t);
  const rollout = await seed(db, 1);
  await reconcileRollouts(db, clock, nobodyAsked);
  await db.execute(sql`insert into attempts (agent_id, kind, digest, generation, at, phase) values
    ('ag_1', 'rules', 'sha256:old', 0, now() + interval '1 day', 'applied'),
    ('ag_1', 'rules', ${digest}, 1, now(), 'rejected')`);
  await reconcileRollouts(db, clock, nobodyAsked);
  const found = await findRollout(db, wholeFleet, rollout.id);
  assert.equal(found.ok && found.value.state, "paused");
});

test("a rollout whose plan takes too much to compare does not wait for ever, and says so; one that others hold up waits", async (t) => {
  const db = await freshDatabase(t);
  const { id } = await seed(db, 1, { state: "scheduled", pending: true });
  await db.execute(sql`update bundles set content = ${Buffer.from(rulesBundle("1.0.0").bytes)}`);
  await db.execute(sql`insert into trust_metadata (role, version, body, expires_at, published_at)
    values ('targets', 1, '\\x00', now(), now())`);
  const meets = async (kind: "unavailable" | "over-limit") => {
    const loader: BundleLoader = { ...testLoader, run: async () => refuse({ kind, why: `It is ${kind}` }) };
    await reconcileRollouts(db, clock, { ...nobodyAsked, loader });
    const found = await findRollout(db, wholeFleet, id);
    assert.ok(found.ok);
    return [found.value.state, found.value.because];
  };
  assert.deepEqual(await meets("unavailable"), ["scheduled", ""]);
  const [state, because] = await meets("over-limit");
  assert.equal(state, "paused");
  assert.match(because ?? "", /It is over-limit/);
});
