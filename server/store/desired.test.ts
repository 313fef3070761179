import assert from "node:assert/strict";
import { test } from "node:test";

import { freshDatabase } from "../../test/support/postgres.ts";
import { readDesired } from "./desired.ts";
import { sql } from "./drizzle.ts";

test("the trace of an assignment is that of the rollout that gave it, and is not looked for where nobody records", async (t) => {
  const db = await freshDatabase(t);
  await db.execute(sql`
    insert into bundles (digest, kind, name, version, target_path, length, content, targets_version, pushed_at, pushed_by)
    values ('sha256:a', 'rules', 'starter', '1', 'a', 1, '\\x00', 1, now(), 'test')`);
  await db.execute(
    sql`insert into clusters (id, name, uid, labels, created_at) values ('cl_1', 'eu-1', 'u', '{"region":"eu"}', now())`,
  );
  await db.execute(sql`
    insert into rollouts (id, kind, digest, spec, state, plan_digest, waves, created_by, created_at, traceparent)
    select 'ro_' || n, 'rules', 'sha256:a', '{}', 'succeeded', '', '[]', 'test', now(), 'trace ' || n
    from generate_series(1, 3) n`);
  await db.execute(sql`
    insert into rollout_clusters (rollout_id, cluster_id, wave, state, generation)
    select 'ro_' || n, 'cl_1', 0, 'proved', n from generate_series(1, 3) n`);
  await db.execute(sql`insert into assignments (cluster_id, generation, rules_digest, rules_rollout_id, changed_at)
    values ('cl_1', 3, 'sha256:a', 'ro_3', now())`);
  const traceOf = async (isTraced: boolean) => (await readDesired(db, ["cl_1"], isTraced))[0]?.trace;
  assert.deepEqual(await traceOf(true), { rolloutId: "ro_3", traceparent: "trace 3" });
  assert.equal(await traceOf(false), null);
  await db.execute(
    sql`insert into assignment_layers (cluster_id, layer, rollout_id) values ('cl_1', 'payments', 'ro_2')`,
  );
  await db.execute(sql`update assignments set generation = 2`);
  assert.deepEqual(await traceOf(true), { rolloutId: "ro_2", traceparent: "trace 2" });
  await db.execute(sql`update assignments set generation = 1`);
  assert.equal(await traceOf(true), null, "none of its bundles is of that rollout any more");
});
