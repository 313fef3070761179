import assert from "node:assert/strict";
import { test } from "node:test";

import { freshDatabase } from "../../test/support/postgres.ts";
import { wholeFleet } from "../domain/scope.ts";
import { sql } from "../store/drizzle.ts";
import { readStoredActs } from "./report-acts.ts";

test("a report of alerts with long texts ends before they fill the memory, and says that it left some out", async (t) => {
  const db = await freshDatabase(t);
  await db.execute(sql`insert into clusters (id, name, uid, labels, created_at)
    values ('cl_1', 'eu-1', 'uid-1', '{"region":"eu"}', now())`);
  // Two alerts of each event, which come to lie on different pages.
  await db.execute(sql`insert into alerts (id, time, received_at, cluster_id, agent_id, rule, priority, source, output, body,
      audit_id, rules_digest)
    select md5(n::text), now() - n * interval '1 second', now(), 'cl_1', 'ag_1', 'R' || n % 2, 4, 'k8s_audit', repeat('o', 900),
      repeat('b', 100), 'event ' || n / 2, 'sha256:0'
    from generate_series(0, 39) n`);
  const filter = { scope: wholeFleet, selector: [], rules: [], tags: [], matchers: [] };
  const bounds = { alertsMax: 1_000, charsMax: 10_000, pagesMax: 50 };
  const cut = await readStoredActs(db, filter, bounds, 5);
  assert.deepEqual([cut.alerts, cut.acts.length, cut.isCut], [10, 5, true]);
  const whole = await readStoredActs(db, filter, { ...bounds, charsMax: 100_000 }, 5);
  assert.deepEqual([whole.alerts, whole.acts.length, whole.isCut], [40, 20, false]);
  assert.deepEqual(new Set(whole.acts.flatMap(({ rules }) => rules.join())), new Set(["R0,R1"]));
});
