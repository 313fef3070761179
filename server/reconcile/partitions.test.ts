import assert from "node:assert/strict";
import { test } from "node:test";

import { count, sql } from "drizzle-orm";

import { freshDatabase } from "../../test/support/postgres.ts";
import { listPartitions } from "../store/partitions.ts";
import { attemptsKept } from "../store/reports.ts";
import { alerts } from "../store/schema.ts";
import { reconcilePartitions } from "./partitions.ts";

const dayMs = 86_400_000;
const keep = { alerts: 3, rates: 3 };

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
  await Promise.all([reconcilePartitions(db, keep, () => start), reconcilePartitions(db, keep, () => start)]);
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
  await reconcilePartitions(db, keep, later(2));
  assert.equal((await db.select({ n: count() }).from(alerts))[0]?.n, 2);
  await reconcilePartitions(db, keep, later(5));
  assert.equal((await db.select({ n: count() }).from(alerts))[0]?.n, 0);
  assert.ok(!(await listPartitions(db, "alerts")).includes("alerts_20260301"));
  // A new alert finds its partition and gets an order of arrival after those before.
  await db.insert(alerts).values(alert("c", later(5)(), later(5)()));
  const [row] = await db.select({ arrival: alerts.arrival }).from(alerts);
  assert.ok((row?.arrival ?? 0n) > 2n);
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
  await assert.rejects(
    reconcilePartitions(db, keep, () => new Date()),
    AggregateError,
  );
  const { rows } = await db.$client.query(
    "select count(*)::int as n, min(generation)::int as oldest from attempts",
  );
  assert.deepEqual(rows, [{ n: attemptsKept, oldest: 250 - attemptsKept + 1 }]);
  assert.ok((await listPartitions(db, "alerts")).length > 0);
});
