import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import * as fc from "fast-check";

import {
  alertMade,
  everything,
  filterOf,
  filters,
  firstMs,
  keeperOf,
  now,
  openStore,
  rowOf,
  sameCounts,
} from "../../test/support/made-alerts.ts";
import { parseScope } from "../domain/scope.ts";
import { countActors } from "./alert-actors.ts";
import { alertGroupings, countAlerts, countBounds, type CountBounds } from "./alert-counts.ts";
import type { AlertRow } from "./alert-intake.ts";
import { listAlerts, type AlertPosition } from "./alert-pages.ts";
import type { AlertFilter } from "./alerts.ts";
import { sql, type SQL } from "./drizzle.ts";
import type { Database, Db, Transaction } from "./pool.ts";

test("statistics are the counts of what is stored: delivered twice, over the bound, by any value, in any range and in parts of days", async (t) => {
  const { db, deliver } = await openStore(t, 30);
  const made = fc.sample(alertMade, { numRuns: 240, seed: 11 });
  const rows = made.map(rowOf);
  await deliver(rows.slice(0, 150));
  await keeperOf(db)();
  await deliver(rows);
  const stored: AlertRow[] = [];
  let before: AlertPosition | undefined;
  do {
    const page = await listAlerts(db, everything, 100, before);
    stored.push(...page.alerts);
    before = page.next;
  } while (before !== undefined);
  assert.ok(stored.length > 100 && stored.length < rows.length, `${stored.length} are stored`);
  const ranges = [
    [0, 480],
    [17, 299],
    [60, 180],
    [65, 70],
  ] as const;
  for (const filter of filters.filter((_, i) => i % 2 === 0)) {
    for (const range of ranges) await sameCounts(db, stored, filter, range, alertGroupings);
  }
});

/** Questions of who did it. */
const ofActors = [
  "actor=mallory",
  'actor=~"mal.*|bob", rule!="rule 1"',
  'ka.user.name=~"b.*"',
  'ka.user.name!~"b.*", priority>=error',
  'user.uid=~"1\\\\d+", actor=~"m.*"',
  'ka.user.name=~"b.*", region=r1',
  'ka.user.name=~"b.*", ka.verb=~"g.*"',
].map(filterOf);

/** Asks counted hours also where it would be faster to look at the alerts. */
const always = { ...countBounds, lookedAtMax: 1_000, fewAlerts: 0 };

test("statistics of who did it are exact before hours are counted by actor, after that, and when alerts came late", async (t) => {
  const { db, deliver } = await openStore(t);
  // One user in three is named by no field, and one by a number.
  const rows = fc.sample(alertMade, { numRuns: 160, seed: 3 }).map((made, n) => {
    const fields: readonly AlertRow["fields"][] = [
      {},
      { "ka.user.name": "bob", "ka.verb": "get" },
      { "user.uid": 1000, "ka.user.name": null },
    ];
    return { ...rowOf(made, n), fields: fields[made.actor] ?? {} };
  });
  const holds = async (stored: readonly AlertRow[]) => {
    for (const filter of ofActors) {
      for (const range of [
        [0, 480],
        [17, 299],
      ] as const) {
        await sameCounts(db, stored, filter, range, ["rule", "cluster"], always);
      }
    }
  };
  const count = keeperOf(db);
  const early = rows.slice(0, 120);
  await deliver(early);
  await holds(early);
  await count();
  await holds(early);
  await deliver(rows);
  await holds(rows);
  await count();
  await holds(rows);
});

test("what a server that knows no totals stored while it was replaced is counted within the hour, whichever part of statistics asks", async (t) => {
  const { db, deliver } = await openStore(t);
  const at = (minute: number, n: number) => rowOf({ cluster: n % 3, rule: 0, actor: 0, minute }, n);
  await deliver([at(0, 1), at(0, 2), at(60, 3)]);
  await db.execute(
    sql`update alert_hours set count = count + 5 where hour = ${new Date(firstMs).toISOString()}::timestamptz`,
  );
  // Of days ago, which has its turn later.
  await db.execute(sql`insert into alert_hours (hour, cluster_id, rule, priority, count, last_at, received_at)
    values (${now.toISOString()}::timestamptz - interval '2 days', 'cl_a', 'rule 1', 4, 7, ${now.toISOString()}, ${now.toISOString()})`);
  const totals = async () => {
    const counted = await Promise.all(alertGroupings.map((by) => countAlerts(db, everything, by)));
    return counted.map((each) => (each.ok ? each.value.total : undefined));
  };
  assert.deepEqual([...new Set(await totals())], [3n]);
  // By turns and not by the clock, which may pass over one.
  const keep = keeperOf(db);
  for (let turn = 0; turn < 3; turn += 1) await keep();
  assert.deepEqual([...new Set(await totals())], [20n]);
});

test("counts go with the alerts when their day is over", async (t) => {
  const { db, deliver } = await openStore(t);
  await keeperOf(db)();
  await deliver([rowOf({ cluster: 0, rule: 0, actor: 0, minute: 10 }, 1)]);
  const count = async () => {
    const counted = await countAlerts(db, everything, "rule");
    return counted.ok ? counted.value.total : undefined;
  };
  assert.equal(await count(), 1n);
  await keeperOf(db, () => new Date(now.getTime() + 6 * 86_400_000))();
  assert.equal(await count(), 0n);
  const { rows } = await db.execute(sql`select * from alert_totals`);
  assert.deepEqual(rows, []);
});

/** Alerts of six hours that are over, by users that a field names, too. */
async function openNamed(t: TestContext) {
  const { db, deliver } = await openStore(t);
  // Bob did nothing in the first hour.
  const made = fc
    .sample(alertMade, { numRuns: 160, seed: 5 })
    .filter(({ actor, minute }) => minute < 360 && (actor !== 1 || minute >= 60));
  const rows = made.map((each, n) => named(rowOf(each, n)));
  await deliver(rows);
  return { db, deliver, rows };
}

function named(row: AlertRow): AlertRow {
  return { ...row, fields: { "ka.user.name": row.actor } };
}

/** Has counted hours call bob eve, so that an answer tells where it comes from. */
async function renameCounted(db: Database): Promise<void> {
  await db.execute(
    sql`update alert_actor_hours set actor = 'eve', fields = '{"ka.user.name":"eve"}' where actor = 'bob'`,
  );
}

const eves = ["actor=eve", 'actor=~"ev.*"', 'ka.user.name=~"ev.*"', 'actor=~"e.e", ka.user.name=~"ev.*"'];

async function totalOf(db: Db, filter: AlertFilter, bounds: CountBounds): Promise<bigint | string> {
  const counted = await countAlerts(db, filter, "rule", undefined, bounds);
  return counted.ok ? counted.value.total : counted.refusal.kind;
}

test("statistics with a pattern of users are told by counted hours alone, and answered where there are too many alerts to look at", async (t) => {
  const { db, rows } = await openNamed(t);
  await countActors(db, { to: now });
  await renameCounted(db);
  const bobs = BigInt(rows.filter(({ actor }) => actor === "bob").length);
  assert.ok(bobs > 0n);
  for (const text of eves) {
    assert.equal(await totalOf(db, filterOf(text), { ...always, lookedAtMax: 20 }), bobs, text);
  }
});

test("statistics read no more counted rows and try patterns no longer than they may, and each row once for all fields that are named", async (t) => {
  const { db } = await openNamed(t);
  await countActors(db, { to: now });
  await renameCounted(db);
  for (const bound of [{ rowsMax: 10 }, { valuesMs: -1 }]) {
    const filter = filterOf('actor=~"ev.*"');
    // No alert is of eve.
    assert.equal(await totalOf(db, filter, { ...always, ...bound }), 0n);
    assert.equal(await totalOf(db, filter, { ...always, ...bound, lookedAtMax: 20 }), "over-limit");
  }
  const statements = await Promise.all(
    eves.slice(1).map(async (text) => {
      let asked = 0;
      const spied = around(db, () => Promise.resolve(void (asked += 1)));
      await totalOf(spied, filterOf(text), always);
      return asked;
    }),
  );
  assert.equal(new Set(statements).size, 1, "patterns of two names take as many statements as one");
});

/** The database, with something done before each statement of its transactions. */
function around(db: Database, before: (tx: Db) => Promise<void>): Db {
  const transaction: Database["transaction"] = (work, config) =>
    db.transaction((tx) => {
      const execute = async (query: SQL) => {
        await before(tx);
        return tx.execute(query);
      };
      return work({ execute } as unknown as Transaction);
    }, config);
  return { execute: (query: SQL) => db.execute(query), transaction } as unknown as Db;
}

test("statistics that take longer than a statement may are refused, and do not say that the database is away", async (t) => {
  const { db } = await openNamed(t);
  const hasty = around(db, async (tx) => {
    await tx.execute(sql.raw("set local statement_timeout = 50"));
  });
  await db.transaction(async (tx) => {
    await tx.execute(sql`lock table alert_totals in access exclusive mode`);
    assert.equal(await totalOf(hasty, filterOf('actor=~"b.*"'), always), "over-limit");
  });
});

test("who sees some clusters alone gets nothing from the counted hours of all, which questions about some clusters read only while few hours came late", async (t) => {
  const { db, deliver, rows } = await openNamed(t);
  await countActors(db, { to: now });
  await renameCounted(db);
  const filter = filterOf('actor=~"bo.*"');
  const region = { key: "region", operator: "in", values: ["r1"] } as const;
  const scope = parseScope("scope", [region]);
  assert.ok(scope.ok);
  const bobs = rows.filter(({ actor, clusterId }) => actor === "bob" && "bdf".includes(clusterId.slice(3)));
  assert.ok(bobs.length > 0);
  // The counted hours name no bob.
  assert.equal(await totalOf(db, { ...filter, selector: [region] }, always), 0n);
  assert.equal(await totalOf(db, { ...filter, scope: scope.value }, always), BigInt(bobs.length));
  const late = { cluster: 0, rule: 0, actor: 0, minute: 0 };
  await deliver(Array.from({ length: 90 }, (_, n) => named(rowOf(late, 1_000 + n))));
  assert.equal(await totalOf(db, { ...filter, selector: [region] }, always), BigInt(bobs.length));
});

test("an hour with too many actors is tried once, told once, and counted right from its alerts, also when more come late", async (t) => {
  const { db, deliver, rows } = await openNamed(t);
  const few = { alerts: 1_000, rows: 5, bytes: 1_000_000 };
  const { counted, refused } = await countActors(db, { to: now }, few);
  assert.deepEqual([counted, refused.length], [0, 6]);
  const nothing = { counted: 0, refused: [], failures: [] };
  assert.deepEqual(await countActors(db, { to: now }), nothing);
  const holds = async (stored: readonly AlertRow[]) => {
    for (const filter of ofActors) await sameCounts(db, stored, filter, [0, 480], ["rule"], always);
  };
  await holds(rows);
  // The row that says so is no alert without a rule.
  const none = await countAlerts(db, filterOf('rule="", actor=~".*"'), "rule", undefined, {
    ...always,
    fewAlerts: -1,
  });
  assert.deepEqual(none, { ok: true, value: { counts: [], total: 0n } });
  const late = [0, 60, 120].map((minute, n) =>
    named(rowOf({ cluster: 1, rule: 2, actor: 1, minute }, 1_000 + n)),
  );
  await deliver(late);
  assert.deepEqual(await countActors(db, { to: now }), nothing);
  await holds([...rows, ...late]);
});

test("an hour that cannot be counted by actor keeps no other from it, nor the totals of older days from being right, and is tried again", async (t) => {
  const { db } = await openNamed(t);
  const hour = (n: number) => sql.raw(`'${new Date(firstMs + n * 3_600_000).toISOString()}'`);
  const keep = keeperOf(db);
  await keep();
  await db.execute(sql`delete from alert_actor_hours`);
  await db.execute(sql`alter table alert_actor_hours add constraint broken check (hour <> ${hour(5)})`);
  await db.execute(sql`update alert_hours set count = count + 5 where hour = ${hour(0)}`);
  await assert.rejects(keep(), AggregateError);
  const hours = async () => {
    const { rows } = await db.execute<{ n: number }>(
      sql`select count(distinct hour)::int as n from alert_actor_hours`,
    );
    return rows[0]?.n;
  };
  assert.equal(await hours(), 5);
  const { rows: sums } = await db.execute(sql`
    select 1 from (select sum(count) as n from alert_totals where cluster_id = '' and hour = ${hour(0)}) one,
      (select sum(count) as n from alert_hours where hour = ${hour(0)}) other where one.n = other.n`);
  assert.equal(sums.length, 1, "yesterday's totals are right");
  await db.execute(sql`alter table alert_actor_hours drop constraint broken`);
  await keep();
  assert.equal(await hours(), 6);
});

test("hours are counted by actor while a server makes partitions, and not again when another server was faster", async (t) => {
  const { db } = await openNamed(t);
  await db.transaction(async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(hashtext('falconry partitions'))`);
    assert.equal((await countActors(db, { to: now })).counted, 6);
  });
  await db.execute(sql`delete from alert_actor_hours`);
  let others = 0;
  const slow = {
    execute: (query: SQL) => db.execute(query),
    transaction: async (work: (tx: Transaction) => Promise<unknown>) => {
      others += (await countActors(db, { to: now })).counted;
      return db.transaction(work);
    },
  } as unknown as Database;
  assert.equal((await countActors(slow, { to: now })).counted, 0);
  assert.equal(others, 6);
});
