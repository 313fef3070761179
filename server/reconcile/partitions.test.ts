import assert from "node:assert/strict";
import { test } from "node:test";

import { count } from "drizzle-orm";

import { freshDatabase } from "../../test/support/postgres.ts";
import { listPartitions } from "../store/partitions.ts";
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
