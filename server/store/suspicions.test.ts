/** What the server finds wrong with agents: what is told of it, and what is kept. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { freshDatabase, type TestDatabase } from "../../test/support/postgres.ts";
import { flappingKeptMs } from "../domain/instance.ts";
import { claimSessions, type Claim } from "./claims.ts";
import { sql } from "./drizzle.ts";
import { listFleetStates } from "./fleet-states.ts";

const now = new Date(Date.UTC(2026, 0, 2, 12));
const suspicion = (code: string, ageMs = 0) => ({
  code,
  message: "",
  since: new Date(now.getTime() - ageMs).toISOString(),
  atMs: now.getTime() - ageMs,
});

/** A cluster with agents that are heard of, by names that say in which order they come. */
async function addAgents(db: TestDatabase, count: number, suspicions: readonly object[]): Promise<void> {
  await db.execute(sql`insert into clusters (id, name, uid, labels, created_at)
    values ('cl_1', 'eu-1', 'uid-1', '{"region":"eu"}', ${now.toISOString()}::timestamptz)`);
  await db.execute(sql`
    insert into agents (id, cluster_id, name, public_key, certificate_serial, certificate_expires_at, created_at, last_seen_at,
      suspicions)
    select 'ag_' || n, 'cl_1', to_char(n, 'FM00000'), '\\x00', '', now(), ${now.toISOString()}::timestamptz,
      ${now.toISOString()}::timestamptz, ${JSON.stringify(suspicions)}::jsonb
    from generate_series(1, ${count}::int) n`);
}

test("a fleet that flaps, or did, pushes neither a copied identity nor a full queue out of what is told", async (t) => {
  const db = await freshDatabase(t);
  await addAgents(db, 2_002, [suspicion("session/flapping")]);
  const [copied, full] = [suspicion("identity/copied"), { code: "input/waiting", message: "", since: "" }];
  await db.execute(
    sql`update agents set suspicions = suspicions || ${JSON.stringify([copied])}::jsonb where id = 'ag_2001'`,
  );
  await db.execute(sql`update agents set conditions = ${JSON.stringify([full])}::jsonb where id = 'ag_2002'`);
  const told = async (ms: number) => {
    const { found: states } = await listFleetStates(db, new Date(now.getTime() + ms));
    return Map.groupBy(states, ({ facts }) => facts.rule);
  };
  const flapping = await told(0);
  assert.deepEqual(
    ["Agent identity", "Queue full"].map((rule) => flapping.get(rule)?.map(({ subject }) => subject)),
    [["02001 identity/copied"], ["02002 input/waiting"]],
  );
  assert.equal(flapping.get("Agent flapping")?.length, 2_000);
  await db.execute(
    sql`update agents set last_seen_at = ${new Date(now.getTime() + flappingKeptMs).toISOString()}::timestamptz`,
  );
  const steady = await told(flappingKeptMs + 1);
  assert.deepEqual([...steady.keys()].toSorted(), ["Agent identity", "Queue full"]);
});

test("what is over leaves the row of an agent with its next session", async (t) => {
  const db = await freshDatabase(t);
  await addAgents(db, 1, [
    suspicion("session/flapping", flappingKeptMs + 1),
    suspicion("identity/went-back", 60_000),
  ]);
  const claim: Claim = {
    agentId: "ag_1",
    sessionId: "se_1",
    serverRun: "a/0",
    transport: "stream",
    clusterUid: "uid-1",
    sequence: 1n,
    version: "",
    engineVersion: "",
    capabilities: [],
    instanceId: "first",
    starts: 1n,
    isRenewal: false,
  };
  const [lease] = await claimSessions(db, [claim], now);
  assert.equal(lease?.ok, true);
  const { rows } = await db.execute<{ codes: readonly string[]; begins: readonly object[] }>(sql`
    select jsonb_path_query_array(suspicions, '$[*].code') as codes, session_begins as begins from agents`);
  assert.deepEqual(rows[0]?.codes, ["identity/went-back"]);
  assert.deepEqual(rows[0].begins, [
    {
      atMs: now.getTime(),
      at: now.toISOString(),
      isOtherProcess: true,
      transport: "stream",
      lostBy: "",
      heldBy: "a/0",
    },
  ]);
});
