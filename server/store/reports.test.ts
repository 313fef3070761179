import assert from "node:assert/strict";
import { test } from "node:test";

import { explaining } from "../../test/support/explaining.ts";
import { freshDatabase } from "../../test/support/postgres.ts";
import { parseDigest } from "../domain/ids.ts";
import { sql } from "./drizzle.ts";
import type { Database } from "./pool.ts";
import { storeReports, type GivenReport } from "./reports.ts";
import { flushPresence } from "./sessions.ts";

const agents = 200;
const idOf = (i: number) => `ag_${String(i).padStart(16, "0")}`;

async function seed(db: Database): Promise<void> {
  await db.execute(sql`
    insert into clusters (id, name, uid, labels, created_at)
    select 'cl_' || lpad(i::text, 16, '0'), 'c' || i, 'u' || i, '{"region": "eu"}', now() from generate_series(1, ${agents}) i`);
  await db.execute(sql`
    insert into agents (id, cluster_id, name, public_key, certificate_serial, certificate_expires_at, created_at,
      session_id, session_epoch)
    select 'ag_' || lpad(i::text, 16, '0'), 'cl_' || lpad(i::text, 16, '0'), 'node', '\\x01', '01', now(), now(), 's' || i, i
    from generate_series(1, ${agents}) i`);
}

test("a wave's reports cost the database what each of them costs, and not each of them times all others", async (t) => {
  const db = await freshDatabase(t);
  await seed(db);
  const digest = parseDigest("digest", `sha256:${"a".repeat(64)}`);
  assert.ok(digest.ok);
  const at = new Date();
  const given = Array.from({ length: agents }, (_, i): GivenReport => {
    const component = { kind: "rules", digest: digest.value } as const;
    const attempt = {
      ...component,
      generation: 1n,
      at,
      phase: "applied",
      reason: "",
      detail: "",
      logTail: "",
    };
    return {
      agentId: idOf(i + 1),
      sessionId: `s${i + 1}`,
      epoch: BigInt(i + 1),
      report: {
        observedGeneration: 1n,
        components: [{ kind: "rules", runningDigest: digest.value, runningSince: at }],
        attempts: [attempt],
        conditions: [],
        trustedCas: [],
      },
    };
  });
  const seen = given.map(({ agentId, sessionId, epoch }) => ({ agentId, sessionId, epoch, lastSeenAt: at }));
  const inVain: number[] = [];
  await storeReports(explaining(db, inVain), given, at);
  await flushPresence(explaining(db, inVain), seen);
  assert.equal(inVain.length, 2);
  assert.ok(Math.max(...inVain) < agents, `${inVain.join(" and ")} pairs`);
  const { rows } = await db.execute<{ count: number }>(sql`select count(*)::int from attempts`);
  assert.equal(rows[0]?.count, agents, "explained, and carried out as well");
});
