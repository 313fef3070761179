import assert from "node:assert/strict";
import { test } from "node:test";

import { count, sql } from "../store/drizzle.ts";

import { keeperOf } from "../../test/support/made-alerts.ts";
import { freshDatabase } from "../../test/support/postgres.ts";
import { createPartition, listPartitions } from "../store/partitions.ts";
import { attemptsKept } from "../store/reports.ts";
import { alerts } from "../store/schema.ts";

const dayMs = 86_400_000;

function alert(id: string, time: Date, receivedAt: Date) {
  const words = {
    clusterId: "cl_1",
    agentId: "ag_1",
    rule: "R",
    source: "k8s_audit",
    output: "o",
    body: "{}",
  };
  return { id, time, receivedAt, priority: 4, rulesDigest: "sha256:0", ...words };
}

test("partitions are made ahead, alerts that came before them move in, and old days go", async (t) => {
  const db = await freshDatabase(t);
  const start = new Date("2026-03-01T12:00:00Z");
  await db.insert(alerts).values([alert("a", start, start), alert("b", new Date(0), start)]);
  await Promise.all([keeperOf(db, () => start)(), keeperOf(db, () => start)()]);
  const names = await listPartitions(db, "alerts");
  assert.deepEqual(names, [
    "alerts_20260228",
    "alerts_20260301",
    "alerts_20260302",
    "alerts_20260303",
    "alerts_20260304",
    "alerts_20260305",
  ]);
  const inDay = await db.$client.query("select id from alerts_20260301");
  assert.deepEqual(inDay.rows, [{ id: "a" }]);
  // An event of long ago that arrived today is kept as long as today's.
  const later = (days: number) => () => new Date(start.getTime() + days * dayMs);
  await keeperOf(db, later(2))();
  assert.equal((await db.select({ n: count() }).from(alerts))[0]?.n, 2);
  await keeperOf(db, later(5))();
  assert.equal((await db.select({ n: count() }).from(alerts))[0]?.n, 0);
  assert.ok(!(await listPartitions(db, "alerts")).includes("alerts_20260301"));
  // A new alert finds its partition and gets an order of arrival after those before.
  await db.insert(alerts).values(alert("c", later(5)(), later(5)()));
  const [row] = await db.select({ arrival: alerts.arrival }).from(alerts);
  assert.ok((row?.arrival ?? 0n) > 2n);
});

test("an alert that arrives while the partition of its day is made waits, and lies in it", async (t) => {
  const db = await freshDatabase(t);
  const start = new Date("2026-03-01T12:00:00Z");
  const waits = async (relation: string) => {
    for (let waiting = 0; waiting === 0;) {
      const { rows } = await db.execute<{ count: number }>(sql`
        select count(*)::int as count from pg_locks where not granted and relation = ${relation}::regclass
          and database = (select oid from pg_database where datname = current_database())`);
      waiting = rows[0]?.count ?? 0;
    }
  };
  const work = await db.transaction(async (tx) => {
    // Somebody reads alerts of no day, so that whoever makes a partition has to wait before its rows may move.
    await tx.execute(sql`select 1 from alerts_default`);
    const day = { name: "alerts_20260301", day: Math.floor(start.getTime() / dayMs) };
    const made = createPartition(db, "alerts", day, 10_000);
    await waits("alerts_default");
    const added = db.insert(alerts).values(alert("a", start, start));
    const failed = added.then(
      () => undefined,
      (error: unknown) => error,
    );
    await Promise.race([waits("alerts"), failed]);
    return { made, failed };
  });
  await work.made;
  assert.equal(await work.failed, undefined);
  const inDay = await db.$client.query("select id from alerts_20260301");
  assert.deepEqual(inDay.rows, [{ id: "a" }]);
});

test("who reads while alerts move into the partition of their day finds them, and not that they are nowhere", async (t) => {
  const db = await freshDatabase(t);
  const start = new Date("2026-03-01T12:00:00Z");
  await db.insert(alerts).values(alert("a", start, start));
  const waiting = async (wanted: number) => {
    for (let found = 0; found < wanted;) {
      const { rows } = await db.execute<{ count: number }>(sql`
        select count(*)::int as count from pg_locks where not granted
          and database = (select oid from pg_database where datname = current_database())`);
      found = rows[0]?.count ?? 0;
    }
  };
  const work = await db.transaction(async (tx) => {
    await tx.execute(sql`select 1 from alerts_default`);
    const made = createPartition(
      db,
      "alerts",
      { name: "alerts_20260301", day: Math.floor(start.getTime() / dayMs) },
      10_000,
    );
    await waiting(1);
    const read = db.$client.query("select id from alerts");
    await waiting(2);
    return { made, read };
  });
  await work.made;
  assert.deepEqual((await work.read).rows, [{ id: "a" }]);
});

test("alerts arrive although somebody reads for long while the partition of a day is made, which is tried again later", async (t) => {
  const db = await freshDatabase(t);
  const start = new Date("2026-03-01T12:00:00Z");
  const added: { readonly id: string }[] = [];
  await db.transaction(async (tx) => {
    await tx.execute(sql`select 1 from alerts_default`);
    const tried: string[] = [];
    const day = { name: "alerts_20260301", day: Math.floor(start.getTime() / dayMs) };
    void createPartition(db, "alerts", day).then(
      () => tried.push("made"),
      () => tried.push("given up"),
    );
    while (tried.length === 0) {
      const id = `${added.length}`.padStart(6, "0");
      await db.transaction(async (agent) => {
        await agent.execute(sql`set local lock_timeout = '3s'`);
        await agent.insert(alerts).values(alert(id, start, start));
      });
      added.push({ id });
    }
    assert.deepEqual(tried, ["given up"]);
  });
  await keeperOf(db, () => start)();
  const inDay = await db.$client.query("select id from alerts_20260301 order by id");
  assert.deepEqual(inDay.rows, added);
});

test("attempts beyond those that are kept are forgotten, the newest stay, also when another part cannot be done", async (t) => {
  const db = await freshDatabase(t);
  await db.execute(sql`insert into clusters (id, name, uid, labels, created_at)
    values ('cl_1', 'eu-1', 'uid-1', '{"region":"eu"}', now())`);
  await db.execute(sql`insert into agents (id, cluster_id, name, public_key, certificate_serial, certificate_expires_at,
    created_at) values ('ag_1', 'cl_1', 'node-1', '\\x00', '', now(), now())`);
  await db.execute(sql`insert into attempts (agent_id, kind, digest, generation, at, phase)
    select 'ag_1', 'rules', 'd', n, now() - n * interval '1 minute', 'applied' from generate_series(1, 250) n`);
  await db.$client.query("alter table rates rename to rates_gone");
  await assert.rejects(keeperOf(db, () => new Date())(), AggregateError);
  const { rows } = await db.$client.query(
    "select count(*)::int as n, min(generation)::int as oldest from attempts",
  );
  assert.deepEqual(rows, [{ n: attemptsKept, oldest: 250 - attemptsKept + 1 }]);
  assert.ok((await listPartitions(db, "alerts")).length > 0);
});
