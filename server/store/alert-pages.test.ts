import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import { alertMade, filterOf, filters, met, openStore, rowOf } from "../../test/support/made-alerts.ts";
import { listAlerts, type AlertPosition } from "./alert-pages.ts";
import type { SQL } from "./drizzle.ts";
import type { Database, Db } from "./pool.ts";

/** The same database, with a count of the alerts that were looked at. */
function countLooks(db: Database) {
  const spied = { looked: 0, db: undefined as unknown as Db };
  const spyOn = (real: Db) => ({
    execute: async (query: SQL) => {
      const found = await real.execute<{ looked?: number }>(query);
      spied.looked += found.rows[0]?.looked ?? 0;
      return found;
    },
    transaction: async (work: (tx: Db) => Promise<unknown>) =>
      real.transaction(async (tx) => work(spyOn(tx) as unknown as Db)),
  });
  spied.db = spyOn(db) as unknown as Db;
  return spied;
}

test("a page whose patterns take long keeps no connection meanwhile, so that others are served and the database does not end its transaction", async (t) => {
  const { db, deliver } = await openStore(t);
  await deliver(Array.from({ length: 20 }, (_, n) => rowOf({ cluster: 0, rule: 0, actor: 0, minute: n }, n)));
  let open = 0;
  /** How many transactions were open when a pattern looked at an alert. */
  const openAtTries: number[] = [];
  const spied = {
    execute: (query: SQL) => db.execute(query),
    transaction: async (work: (tx: Db) => Promise<unknown>) => {
      open += 1;
      try {
        return await db.transaction(async (tx) => {
          const execute = async (query: SQL) => {
            const found = await tx.execute(query);
            for (const row of found.rows) {
              const { actor } = row;
              Object.defineProperty(row, "actor", {
                enumerable: true,
                get: () => {
                  openAtTries.push(open);
                  return actor;
                },
              });
            }
            return found;
          };
          return work({ execute } as unknown as Db);
        });
      } finally {
        open -= 1;
      }
    },
  };
  const page = await listAlerts(spied as unknown as Db, filterOf('actor=~"a.*e"'), 5);
  assert.equal(page.alerts.length, 5);
  assert.deepEqual(new Set(openAtTries), new Set([0]));
});

test("pages put together are all alerts that a filter leaves, in order, whichever way and however little each call looks at", async (t) => {
  const { db, deliver } = await openStore(t);
  const made = fc.sample(alertMade, { numRuns: 120, seed: 7 });
  const rows = made.map(rowOf);
  await deliver(rows);
  const bounds = [
    { lookedAtMax: { conditions: 10_000, patterns: 2_000 }, lanesMax: { first: 100, last: 1_000 } },
    { lookedAtMax: { conditions: 9, patterns: 5 }, lanesMax: { first: 2, last: 4 } },
  ];
  for (const bound of bounds) {
    for (const filter of filters) {
      const found: string[] = [];
      let before: AlertPosition | undefined;
      let pages = 0;
      do {
        const spied = countLooks(db);
        const page = await listAlerts(spied.db, filter, 7, before, bound);
        assert.ok(page.alerts.length <= 7);
        const { conditions } = bound.lookedAtMax;
        assert.ok(spied.looked <= conditions, `${spied.looked} were looked at by ${JSON.stringify(filter)}`);
        found.push(...page.alerts.map(({ id }) => id));
        before = page.next;
        pages += 1;
      } while (before !== undefined && pages <= rows.length);
      const wanted = met(rows, filter).map(({ id }) => id);
      assert.deepEqual(found, wanted, JSON.stringify([filter.matchers, bound]));
    }
  }
});

test("a page finds the few alerts of a cluster at once, although a thousand newer ones of others lie before them", async (t) => {
  const { db, deliver } = await openStore(t);
  const others = Array.from({ length: 60 }, (_, n) =>
    rowOf({ cluster: 1, rule: 0, actor: 0, minute: 300 }, n),
  );
  const few = [61, 62].map((n) => rowOf({ cluster: 2, rule: 3, actor: 0, minute: 0 }, n));
  await deliver([...others, ...few]);
  const bounds = { lookedAtMax: { conditions: 10, patterns: 10 }, lanesMax: { first: 2, last: 5 } };
  for (const text of [
    "cluster=c",
    'rule="rule 3"',
    'cluster=~"c|d|e"',
    'cluster=c, rule="rule 3", actor=alice',
  ]) {
    const page = await listAlerts(db, filterOf(text), 5, undefined, bounds);
    assert.deepEqual([page.alerts.length, page.next], [2, undefined], text);
  }
  // Nor does a page of one of its rules look at what the cluster's others say.
  await deliver(
    Array.from({ length: 40 }, (_, n) => rowOf({ cluster: 2, rule: 0, actor: 0, minute: 200 }, 100 + n)),
  );
  const spied = countLooks(db);
  const page = await listAlerts(spied.db, filterOf('cluster=c, rule="rule 3"'), 5);
  assert.deepEqual([page.alerts.length, page.next, spied.looked], [2, undefined, 2]);
});

test("what a page may look at is not spent on the same rules twice, so that the alerts of some clusters are found at once", async (t) => {
  const { db, deliver } = await openStore(t);
  const loud = Array.from({ length: 200 }, (_, n) =>
    rowOf({ cluster: 5, rule: n % 4, actor: 0, minute: 300 }, n),
  );
  const theirs = Array.from({ length: 51 }, (_, n) =>
    rowOf({ cluster: n % 3, rule: n % 4, actor: n < 3 ? 2 : 0, minute: n }, 1_000 + n),
  );
  await deliver([...loud, ...theirs]);
  const rules = [0, 1, 2, 3].map((n) => `rule ${n}`);
  const filter = { ...filterOf('actor=mallory, cluster=~"a|b|c"'), rules };
  const bounds = { lookedAtMax: { conditions: 100, patterns: 100 }, lanesMax: { first: 6, last: 6 } };
  const page = await listAlerts(db, filter, 5, undefined, bounds);
  assert.deepEqual([page.alerts.length, page.next], [3, undefined]);
});

test("one loud rule among many others takes about as many calls as alone, whether these are quiet or not", async (t) => {
  const { db, deliver } = await openStore(t);
  const names = Array.from({ length: 20 }, (_, i) => `rule ${i}`);
  const loud = Array.from({ length: 600 }, (_, n) =>
    rowOf({ cluster: 0, rule: 0, actor: n % 200 === 199 ? 2 : 0, minute: 200 + (n % 60) }, n),
  );
  const others = (each: number) =>
    Array.from({ length: 19 * each }, (_, n) =>
      rowOf({ cluster: 1, rule: 1 + (n % 19), actor: 0, minute: n % 100 }, 1_000 + n),
    );
  const filter = { ...filterOf("actor=mallory"), rules: [...names, ...names] };
  const bounds = { lookedAtMax: { conditions: 100, patterns: 100 }, lanesMax: { first: 20, last: 20 } };
  await deliver(loud);
  for (const each of [1, 10]) {
    await deliver(others(each));
    const found: string[] = [];
    let before: AlertPosition | undefined;
    let calls = 0;
    do {
      const page = await listAlerts(db, filter, 50, before, bounds);
      found.push(...page.alerts.map(({ id }) => id));
      before = page.next;
      calls += 1;
    } while (before !== undefined && calls < 100);
    assert.equal(new Set(found).size, 3);
    assert.equal(found.length, 3, "a rule that is named twice is looked at once");
    assert.ok(calls <= 18, `it took ${calls} calls`);
  }
});
