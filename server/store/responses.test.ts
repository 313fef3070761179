import assert from "node:assert/strict";
import { test } from "node:test";

import { freshDatabase, type TestDatabase } from "../../test/support/postgres.ts";
import { sql } from "./drizzle.ts";
import { removeOldResponses, storeResponses, type ResponseRow } from "./responses.ts";
import { agents, clusters } from "./schema.ts";

const now = new Date(Date.UTC(2026, 10, 1));
const hourMs = 3_600_000;

function row(clusterId: string, id: string, more: Partial<ResponseRow> = {}): ResponseRow {
  return {
    clusterId,
    alertId: id.padStart(64, "0"),
    response: "isolate-exec",
    agentId: `ag_of_${clusterId}`,
    rule: "Exec",
    action: "isolate",
    namespace: "shop",
    pod: "web-1",
    outcome: "done",
    why: "",
    rulesDigest: "sha256:aa",
    decidedAt: now,
    receivedAt: now,
    record: Buffer.of(1),
    signature: Buffer.of(2),
    ...more,
  };
}

const rowsOf = (clusterId: string, prefix: string, count: number) =>
  Array.from({ length: count }, (_, i) => row(clusterId, `${prefix}${i}`));

async function addCluster(db: TestDatabase, id: string): Promise<void> {
  await db.insert(clusters).values({ id, name: id, uid: id, labels: { region: "eu" }, createdAt: now });
  await db.insert(agents).values({
    id: `ag_of_${id}`,
    clusterId: id,
    name: "node-1",
    publicKey: new Uint8Array([1]),
    certificateSerial: "01",
    certificateExpiresAt: now,
    createdAt: now,
  });
}

test("what an agent tells of responses is stored and audited once, within a bound for its cluster, and forgotten in time", async (t) => {
  const db = await freshDatabase(t);
  const noted: string[] = [];
  const store = (clusterId: string, rows: readonly ResponseRow[], at: Date = now) => {
    const noteOf = (each: ResponseRow) => () => Promise.resolve(void noted.push(each.outcome));
    return storeResponses(db, clusterId, rows, noteOf, at);
  };
  for (const id of ["cl_twice", "cl_many"]) await addCluster(db, id);

  await t.test(
    "a record that stands a hundred times in a call is one row of the audit log, and none when it is told again",
    async () => {
      const same = Array.from({ length: 100 }, (_, i) =>
        row("cl_twice", "a", { outcome: i === 0 ? "done" : "failed" }),
      );
      assert.deepEqual(await store("cl_twice", same), { ok: true, value: 100 });
      await store("cl_twice", same);
      assert.deepEqual(noted, ["done"]);
    },
  );

  await t.test(
    "calls of a cluster that come together keep to a thousand within an hour, and wait for nobody else's",
    async () => {
      const both = await Promise.all(
        ["b", "c"].map((prefix) => store("cl_many", rowsOf("cl_many", prefix, 600))),
      );
      assert.equal(both.filter(({ ok }) => ok).length, 1);
      const refused = both.find((each) => !each.ok);
      assert.equal(refused?.ok === false && refused.refusal.kind, "over-limit");
      assert.equal((await store("cl_twice", [row("cl_twice", "d")])).ok, true, "another cluster");
      const later = new Date(now.getTime() + hourMs + 1);
      assert.equal((await store("cl_many", rowsOf("cl_many", "e", 600), later)).ok, true, "an hour later");
    },
  );

  await t.test(
    "more old rows than are removed at once are gone after one run, and newer ones stay",
    async () => {
      await db.execute(sql`
      insert into responses select cluster_id, 'old ' || i, response, agent_id, rule, action, namespace, pod, outcome, why,
        rules_digest, decided_at, received_at - interval '100 days', record, signature
      from responses, generate_series(1, 10050) i where cluster_id = 'cl_twice' and alert_id like '%a'`);
      await removeOldResponses(db, new Date(now.getTime() - hourMs));
      const { rows } = await db.execute<{ cluster: string; count: number }>(sql`
      select cluster_id as cluster, count(*)::int as count from responses group by 1 order by 1`);
      assert.deepEqual(rows, [
        { cluster: "cl_many", count: 1_200 },
        { cluster: "cl_twice", count: 2 },
      ]);
    },
  );
});
