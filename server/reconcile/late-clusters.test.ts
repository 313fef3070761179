import assert from "node:assert/strict";
import { test } from "node:test";

import { sql } from "../store/drizzle.ts";

import { freshDatabase, type TestDatabase } from "../../test/support/postgres.ts";
import { usualSpec } from "../../test/support/rollout-world.ts";
import { makeId, type Digest } from "../domain/ids.ts";
import { planRollout } from "../domain/rollout-plan.ts";
import type { RolloutSpec } from "../domain/rollout-spec.ts";
import type { Rollout } from "../domain/rollout.ts";
import { wholeFleet } from "../domain/scope.ts";
import { readFleet } from "../store/fleet.ts";
import { findRollout, insertRollout } from "../store/rollouts.ts";
import { reconcileCatchUps } from "./catch-ups.ts";
import { reconcileRollouts } from "./rollouts.ts";
import { nobodyAsked } from "./testing.ts";

const digestOf = (digit: string) => `sha256:${digit.repeat(64)}` as Digest;
const [old, wanted, newer] = [digestOf("a"), digestOf("b"), digestOf("c")];
const clock = () => new Date();
const spec: RolloutSpec = {
  ...usualSpec,
  selector: [{ key: "environment", operator: "in", values: ["prod"] }],
  growth: 1,
};

/** Released bundles and no cluster. */
async function newFleet(t: Parameters<typeof freshDatabase>[0]): Promise<TestDatabase> {
  const db = await freshDatabase(t);
  for (const [i, digest] of [old, wanted, newer].entries()) {
    await db.execute(sql`insert into bundles (digest, kind, name, version, target_path, length, content, targets_version,
      pushed_at, pushed_by) values (${digest}, 'rules', 'starter', ${`${i}.0.0`}, ${`p${i}`}, 1, '\\x00', 1, now(), 'test')`);
  }
  await db.execute(sql`insert into trust_metadata (role, version, body, expires_at, published_at)
    values ('targets', 1, '\\x00', now(), now())`);
  return db;
}

/** A cluster that was given the old bundle, with an agent that was heard of just now or never. */
async function addCluster(db: TestDatabase, name: string, environment: string, seen = true): Promise<void> {
  await db.execute(sql`insert into clusters (id, name, uid, labels, created_at)
    values (${`cl_${name}`}, ${name}, ${name}, ${JSON.stringify({ region: "eu", environment })}::jsonb, now())`);
  await db.execute(sql`insert into agents (id, cluster_id, name, public_key, certificate_serial, certificate_expires_at,
    created_at, last_seen_at) values (${`ag_${name}`}, ${`cl_${name}`}, 'node-1', '\\x00', '', now(), now(),
    ${seen ? new Date().toISOString() : null}::timestamptz)`);
  await db.execute(sql`insert into assignments (cluster_id, generation, rules_digest, changed_at)
    values (${`cl_${name}`}, 1, ${old}, now())`);
}

async function relabel(db: TestDatabase, name: string, environment: string): Promise<void> {
  await db.execute(sql`update clusters set labels = labels || jsonb_build_object('environment', ${environment}::text)
    where name = ${name}`);
}

let made = 0;

async function start(db: TestDatabase, change: Partial<RolloutSpec> = {}, digest = wanted): Promise<Rollout> {
  const chosen = { ...spec, ...change };
  const plan = planRollout(chosen, digest, await readFleet(db, wholeFleet, "rules", clock()));
  assert.ok(plan.ok);
  made += 1;
  const rollout: Rollout = {
    id: makeId("rollout", new Uint8Array(10).fill(made)),
    spec: chosen,
    digest,
    state: "running",
    because: "",
    wave: 0,
    generation: 1n,
    planDigest: "",
    waves: plan.value.waves.map(({ name, group }) => ({ name, group })),
    createdBy: "test",
    scope: wholeFleet,
    createdAtMs: Date.now(),
  };
  await db.transaction((tx) => insertRollout(tx, rollout, plan.value, ""));
  return rollout;
}

/** What agents that are heard of do: each proves what its cluster is assigned, if it is one of these. */
async function prove(db: TestDatabase, ...names: readonly string[]): Promise<void> {
  await db.execute(sql`insert into agent_components (agent_id, kind, running_digest, proved_generation, proved_at)
    select g.id, 'rules', a.rules_digest, a.generation, now()
    from agents g join assignments a using (cluster_id) join clusters c on c.id = g.cluster_id
    where g.last_seen_at is not null and (${names.length === 0} or c.name = any(${sql.param([...names])}::text[]))
    on conflict (agent_id, kind) do update set running_digest = excluded.running_digest,
      proved_generation = excluded.proved_generation, proved_at = excluded.proved_at`);
}

async function hear(db: TestDatabase, name: string): Promise<void> {
  await db.execute(sql`update agents set last_seen_at = now() where cluster_id = ${`cl_${name}`}`);
}

async function toTheEnd(db: TestDatabase, rollout: Rollout): Promise<void> {
  for (let i = 0; i < 20; i += 1) {
    await reconcileRollouts(db, clock, nobodyAsked);
    await prove(db);
  }
  const found = await findRollout(db, wholeFleet, rollout.id);
  assert.ok(found.ok && found.value.state === "succeeded", "the rollout did not succeed");
}

/** What is assigned, by the names of clusters. */
async function assigned(db: TestDatabase): Promise<Record<string, string>> {
  const { rows } = await db.execute<{ name: string; digest: string }>(sql`
    select c.name, a.rules_digest as digest from clusters c join assignments a on a.cluster_id = c.id order by c.name`);
  return Object.fromEntries(rows.map(({ name, digest }) => [name, digest.slice(7, 8)]));
}

async function states(db: TestDatabase, rollout: Rollout): Promise<Record<string, string>> {
  const { rows } = await db.execute<{ name: string; state: string }>(sql`
    select c.name, rc.state from rollout_clusters rc join clusters c on c.id = rc.cluster_id
    where rc.rollout_id = ${rollout.id} order by c.name`);
  return Object.fromEntries(rows.map(({ name, state }) => [name, state]));
}

test("a cluster that joins or is relabelled into a rollout gets the bundle when its wave is done, and one that leaves does not", async (t) => {
  const db = await newFleet(t);
  for (const name of ["eu-1", "eu-2", "eu-3"]) await addCluster(db, name, "prod");
  await addCluster(db, "eu-4", "test");
  const rollout = await start(db);
  await reconcileRollouts(db, clock, nobodyAsked);
  await addCluster(db, "eu-5", "prod");
  await relabel(db, "eu-4", "prod");
  await relabel(db, "eu-3", "test");
  await reconcileRollouts(db, clock, nobodyAsked);
  // Nobody has proved: only the canary has it.
  assert.deepEqual(await assigned(db), { "eu-1": "b", "eu-2": "a", "eu-3": "a", "eu-4": "a", "eu-5": "a" });
  await toTheEnd(db, rollout);
  while (await reconcileCatchUps(db, clock)) await prove(db);
  assert.deepEqual(await assigned(db), { "eu-1": "b", "eu-2": "b", "eu-3": "a", "eu-4": "b", "eu-5": "b" });
  const ended = { "eu-1": "proved", "eu-2": "proved", "eu-3": "removed", "eu-4": "proved", "eu-5": "proved" };
  assert.deepEqual(await states(db, rollout), ended);
});

test("silent clusters that are skipped get the bundle when they are heard of, unless a later rollout decided", async (t) => {
  const db = await newFleet(t);
  await addCluster(db, "eu-1", "prod");
  for (const name of ["eu-2", "eu-3"]) await addCluster(db, name, "prod", false);
  const strategy = { stages: [], steps: [], offline: "skip" } as const;
  const first = await start(db, { strategy });
  await toTheEnd(db, first);
  assert.deepEqual(await states(db, first), { "eu-1": "proved", "eu-2": "waiting", "eu-3": "waiting" });
  assert.equal(await reconcileCatchUps(db, clock), false);
  const second = await start(db, { strategy }, newer);
  await hear(db, "eu-2");
  await hear(db, "eu-3");
  await toTheEnd(db, second);
  while (await reconcileCatchUps(db, clock)) await prove(db);
  assert.deepEqual(await assigned(db), { "eu-1": "c", "eu-2": "c", "eu-3": "c" });
  assert.deepEqual(await states(db, first), { "eu-1": "proved", "eu-2": "removed", "eu-3": "removed" });
});

test("a skipped cluster that comes back after the end is given the bundle, and is sent back when it refuses it", async (t) => {
  const db = await newFleet(t);
  await addCluster(db, "eu-1", "prod");
  for (const name of ["eu-2", "eu-3"]) await addCluster(db, name, "prod", false);
  const rollout = await start(db, { strategy: { stages: [], steps: [], offline: "skip" } });
  await toTheEnd(db, rollout);
  await hear(db, "eu-2");
  assert.ok(await reconcileCatchUps(db, clock));
  assert.deepEqual(await assigned(db), { "eu-1": "b", "eu-2": "b", "eu-3": "a" });
  await db.execute(sql`insert into attempts (agent_id, kind, digest, generation, at, phase, reason)
    select 'ag_eu-2', 'rules', ${wanted}, generation, now(), 'rejected', 'trust/hash-mismatch' from assignments
    where cluster_id = 'cl_eu-2'`);
  assert.ok(await reconcileCatchUps(db, clock));
  // No failure is allowed, so the one that comes back next is not given it either.
  await hear(db, "eu-3");
  assert.ok(await reconcileCatchUps(db, clock));
  assert.deepEqual(await assigned(db), { "eu-1": "b", "eu-2": "a", "eu-3": "a" });
  assert.deepEqual(await states(db, rollout), { "eu-1": "proved", "eu-2": "failed", "eu-3": "removed" });
  assert.equal(await reconcileCatchUps(db, clock), false);
});

test("a cluster that went back from what it is assigned by itself is sent back to what it runs, not to the bad bundle", async (t) => {
  const db = await newFleet(t);
  const refuse = (name: string, digest: Digest) =>
    db.execute(sql`
    insert into attempts (agent_id, kind, digest, generation, at, phase, reason)
    select ${`ag_${name}`}, 'rules', ${digest}, generation, now(), 'rolled-back', 'soak/crash-loop' from assignments
    where cluster_id = ${`cl_${name}`}`);
  for (const name of ["eu-1", "eu-2"]) await addCluster(db, name, name === "eu-1" ? "prod" : "test");
  await prove(db);
  await toTheEnd(db, await start(db));
  await db.execute(sql`update assignments set rules_digest = ${wanted} where cluster_id = 'cl_eu-2'`);
  // Both went back to the old bundle long after the rollout had succeeded: it is still what they are assigned.
  await db.execute(sql`update agent_components set running_digest = ${old}`);
  for (const name of ["eu-1", "eu-2"]) await refuse(name, wanted);
  await start(db, { failuresMax: 2 }, newer);
  await relabel(db, "eu-2", "prod");
  await reconcileRollouts(db, clock, nobodyAsked);
  const { rows } = await db.execute(
    sql`select previous_digest as back from rollout_clusters where cluster_id = 'cl_eu-2'`,
  );
  assert.deepEqual(rows, [{ back: old }]);
  await refuse("eu-1", newer);
  await reconcileRollouts(db, clock, nobodyAsked);
  assert.deepEqual(await assigned(db), { "eu-1": "a", "eu-2": "b" });
});

test("a cluster that enrolled in the moment in which a rollout ended is caught up; relabelling later assigns nothing", async (t) => {
  const db = await newFleet(t);
  await addCluster(db, "eu-1", "prod");
  await addCluster(db, "eu-2", "test");
  const rollout = await start(db);
  await toTheEnd(db, rollout);
  // It was given the old bundle, because the rollout had not ended when it looked.
  await addCluster(db, "eu-3", "prod");
  await relabel(db, "eu-2", "prod");
  while (await reconcileCatchUps(db, clock)) await prove(db);
  assert.deepEqual(await assigned(db), { "eu-1": "b", "eu-2": "a", "eu-3": "b" });
});

test("a cluster that left a rollout before its turn is taken in again when its labels match again, but not after the end", async (t) => {
  const db = await newFleet(t);
  for (const name of ["eu-1", "eu-2", "eu-3"]) await addCluster(db, name, "prod");
  const rollout = await start(db);
  for (const name of ["eu-2", "eu-3"]) await relabel(db, name, "test");
  await reconcileRollouts(db, clock, nobodyAsked);
  assert.deepEqual(await states(db, rollout), { "eu-1": "assigned", "eu-2": "removed", "eu-3": "removed" });
  await relabel(db, "eu-2", "prod");
  await toTheEnd(db, rollout);
  await relabel(db, "eu-3", "prod");
  while (await reconcileCatchUps(db, clock)) await prove(db);
  assert.deepEqual(await states(db, rollout), { "eu-1": "proved", "eu-2": "proved", "eu-3": "removed" });
});

test("a latecomer that another rollout holds is left to that one", async (t) => {
  const db = await newFleet(t);
  await addCluster(db, "eu-1", "prod");
  await addCluster(db, "eu-2", "test");
  const prod = await start(db);
  const tests = await start(
    db,
    { selector: [{ key: "environment", operator: "in", values: ["test"] }] },
    newer,
  );
  await relabel(db, "eu-2", "prod");
  await reconcileRollouts(db, clock, nobodyAsked);
  // It strays from the one before that gave it anything, and then the other one takes it.
  await toTheEnd(db, prod);
  assert.equal((await states(db, tests))["eu-2"], "removed");
  while (await reconcileCatchUps(db, clock)) await prove(db);
  assert.equal((await states(db, prod))["eu-2"], "proved");
});
