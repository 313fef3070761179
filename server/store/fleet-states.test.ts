import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { freshDatabase } from "../../test/support/postgres.ts";
import { roughCount } from "../domain/notify/fleet-state.ts";
import { createAlertTaker } from "../sessions/take-alerts.ts";
import { removeOldIntake, sumIntake, type AlertRow } from "./alert-intake.ts";
import { sql } from "./drizzle.ts";
import { listFleetStates } from "./fleet-states.ts";

const nowMs = Date.UTC(2026, 2, 1, 12, 30);
const hourMs = 3_600_000;
const now = new Date(nowMs);
const later = (hours: number): Date => new Date(nowMs + hours * hourMs);

/** A fleet of some clusters, each with an agent that was never heard of. */
async function openFleet(t: TestContext, size: number) {
  const db = await freshDatabase(t);
  const made = later(-24).toISOString();
  await db.execute(sql`insert into clusters (id, name, uid, labels, created_at)
    select 'cl_' || n, 'eu-' || n, 'uid-' || n, '{"region":"eu"}', ${made} from generate_series(1, ${size}::int) n`);
  await db.execute(sql`insert into agents (id, cluster_id, name, public_key, certificate_serial,
      certificate_expires_at, created_at)
    select 'ag_' || n, 'cl_' || n, 'node-' || n, '', 'serial-' || n, ${made}, ${made} from generate_series(1, ${size}::int) n`);
  return db;
}

function alert(n: number, rule: string, time: Date): AlertRow {
  const id = n.toString(16).padStart(64, "0");
  const words = { source: "k8s_audit", output: "", body: "{}", auditId: "", actor: "alice" };
  const from = { clusterId: "cl_1", agentId: "ag_1", tags: [], fields: {} };
  const rulesDigest = `sha256:${"a".repeat(64)}`;
  return { ...words, ...from, id, rule, timeUs: BigInt(time.getTime()) * 1000n, priority: 4, rulesDigest };
}

test("a cluster that sends more than is stored is a state with its worst rules until the next hour is over, and is remembered", async (t) => {
  const db = await openFleet(t, 2);
  const take = createAlertTaker(db, { storedPerHourMax: 10, groupsMax: 10 });
  const of = (rule: string, count: number, first: number) =>
    Array.from({ length: count }, (_, i) => alert(first + i, rule, now));
  await take("cl_1", [...of("Exec", 8, 0), ...of("Secret", 12, 100)], now);
  const told = async (at: Date) =>
    (await listFleetStates(db, at)).found
      .filter(({ facts }) => facts.rule === "Alerts not stored")
      .map(({ facts }) => `${facts.cluster}: ${facts.output}`);
  const words = "eu-1: 12 alerts of this hour and the last were counted and not stored, most of Exec, Secret";
  assert.deepEqual(await told(now), [words]);
  assert.deepEqual(await told(later(1)), [words]);
  assert.deepEqual(await told(later(2)), []);
  const sums = async () => (await sumIntake(db, "cl_1", later(-1))).notStored;
  await take("cl_1", [alert(500, "Exec", later(2))], later(2));
  assert.equal(await removeOldIntake(db, { whole: later(3), unstored: later(-1) }), 1);
  assert.equal(await sums(), 12n);
  await removeOldIntake(db, { whole: later(3), unstored: later(3) });
  assert.equal(await sums(), 0n);
});

test("a cluster whose alerts have times that have not come yet is a state", async (t) => {
  const db = await openFleet(t, 1);
  const take = createAlertTaker(db, { storedPerHourMax: 1_000, groupsMax: 10 });
  const ahead = async () =>
    (await listFleetStates(db, now)).found.filter(({ facts }) => facts.rule === "Alerts ahead");
  await take("cl_1", [alert(1, "Exec", new Date(nowMs + 300_000))], now);
  assert.deepEqual(await ahead(), []);
  await take("cl_1", [alert(2, "Exec", later(24))], now);
  const [state] = await ahead();
  assert.equal(state?.facts.cluster, "eu-1");
  assert.match(state.facts.output, /up to 2026-03-02T13:00:00.000Z/);
  // A clock that runs on ahead is the same state a minute later.
  await take("cl_1", [alert(3, "Exec", new Date(later(24).getTime() + 60_000))], now);
  assert.deepEqual(await ahead(), [state]);
});

test("a retired cluster with more alerts ahead than are looked at ends no state of another", async (t) => {
  const db = await openFleet(t, 2);
  const take = createAlertTaker(db, { storedPerHourMax: 1_000, groupsMax: 10 });
  await take("cl_1", [alert(1, "Exec", later(1))], now);
  const isCut = async () => (await listFleetStates(db, now)).cut.has("Alerts ahead");
  assert.equal(await isCut(), false);
  await db.execute(sql`insert into alerts (id, time, received_at, cluster_id, agent_id, rule, priority, source, output, body, audit_id,
      tags, rules_digest, actor, fields, silence_id)
    select n, ${later(24).toISOString()}::timestamptz, ${now.toISOString()}::timestamptz, 'cl_2', agent_id, rule, priority, source,
      output, body, audit_id, tags, rules_digest, actor, fields, silence_id
    from alerts, generate_series(1, 10000) n`);
  await db.execute(sql`update clusters set retired_at = ${now.toISOString()}::timestamptz where id = 'cl_2'`);
  assert.equal(await isCut(), true);
});

test("the words of a state stay while a flood goes on, so that it is not written down at each look", async (t) => {
  const db = await openFleet(t, 1);
  const take = createAlertTaker(db, { storedPerHourMax: 10, groupsMax: 10 });
  const told = async (rule: string, first: number, count: number) => {
    const rows = Array.from({ length: count }, (_, i) => alert(first + i, rule, now));
    await take("cl_1", rows, now);
    const { found } = await listFleetStates(db, now);
    return found.find(({ facts }) => facts.rule === "Alerts not stored")?.facts.output;
  };
  await told("Secret", 0, 150);
  const words = await told("Exec", 1_000, 100);
  assert.equal(
    words,
    "200 or more alerts of this hour and the last were counted and not stored, most of Exec, Secret",
  );
  assert.equal(await told("Exec", 2_000, 50), words);
  assert.deepEqual([99n, 100n, 1_999n].map(roughCount), ["99", "100 or more", "1000 or more"]);
});

test("an agent that left beside others is told without an alarm, and the last one of a cluster as silent", async (t) => {
  const db = await openFleet(t, 2);
  const [left, here] = [new Date(nowMs - 600_000).toISOString(), now.toISOString()];
  await db.execute(sql`insert into agents (id, cluster_id, name, public_key, certificate_serial, certificate_expires_at,
      created_at, last_seen_at) values ('ag_3', 'cl_1', 'node-3', '', '', ${here}, ${left}, ${here})`);
  const broken = JSON.stringify([{ code: "disk/full", message: "no space", since: left }]);
  await db.execute(sql`update agents set last_seen_at = ${left}, left_at = ${left}, conditions = ${broken}::jsonb
    where id <> 'ag_3'`);
  const told = async () =>
    (await listFleetStates(db, now)).found.map(({ facts }) => `${facts.rule}: ${facts.output}`);
  assert.deepEqual(await told(), [
    "Agent silent: Agent node-2 left at 2026-03-01T12:20:00.000Z, and no other watches its cluster",
    "Agent left: Agent node-1 left at 2026-03-01T12:20:00.000Z, and has not come back",
  ]);
  // A neighbour that is silent itself watches nothing: the goodbye of the last that did is an alarm.
  await db.execute(sql`update agents set last_seen_at = ${later(-2).toISOString()} where id = 'ag_3'`);
  assert.deepEqual(await told(), [
    "Agent silent: Agent node-1 left at 2026-03-01T12:20:00.000Z, and no other watches its cluster",
    "Agent silent: Agent node-3 was last heard of at 2026-03-01T10:30:00.000Z",
    "Agent silent: Agent node-2 left at 2026-03-01T12:20:00.000Z, and no other watches its cluster",
  ]);
  const restarts = new Date(nowMs - 5_000).toISOString();
  await db.execute(
    sql`update agents set last_seen_at = ${restarts}, left_at = ${restarts}, conditions = '[]'`,
  );
  assert.deepEqual(await told(), []);
});

test("states of which there are too many to be listed are named, so that none is told to be over", async (t) => {
  const some = await listFleetStates(await openFleet(t, 3), now);
  assert.deepEqual([some.found.length, [...some.cut]], [3, []]);
  const db = await openFleet(t, 2_002);
  const many = await listFleetStates(db, now);
  assert.deepEqual([many.found.length, [...many.cut]], [2_000, ["Agent silent"]]);
  // As many nodes that were replaced take no room from the alarm.
  const left = new Date(nowMs - 600_000).toISOString();
  await db.execute(sql`update agents set cluster_id = 'cl_1', last_seen_at = ${left},
    left_at = case when id = 'ag_2' then null else ${left}::timestamptz end`);
  await db.execute(
    sql`update agents set last_seen_at = ${now.toISOString()}, left_at = null where id = 'ag_1'`,
  );
  const { found, cut } = await listFleetStates(db, now);
  assert.deepEqual([found.length, found[0]?.facts.rule, [...cut]], [2_001, "Agent silent", ["Agent left"]]);
});
