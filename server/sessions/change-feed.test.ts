import assert from "node:assert/strict";
import { test } from "node:test";

import { sql } from "../store/drizzle.ts";

import { freshDatabase, type TestDatabase } from "../../test/support/postgres.ts";
import { createChangeFeed, type Changed } from "./change-feed.ts";

async function addCluster(db: Pick<TestDatabase, "execute">, id: string): Promise<void> {
  await db.execute(sql`insert into clusters (id, name, uid, labels, created_at)
    values (${id}, ${id}, ${id}, '{"region":"eu"}', now())`);
}

function watch(db: TestDatabase) {
  const seen: Changed[] = [];
  let nowMs = 0;
  const feed = createChangeFeed(
    db,
    () => new Date(nowMs),
    (changed) => {
      seen.push(changed);
      return Promise.resolve();
    },
  );
  return {
    poll: () => feed.poll(),
    /** The ids told since the last call. */
    told: () => seen.splice(0).flatMap((changed) => [...changed.clusterIds]),
    pass: (ms: number) => (nowMs += ms),
  };
}

test("the change feed tells each change once, also long after", async (t) => {
  const db = await freshDatabase(t);
  const feed = watch(db);
  await feed.poll();
  await addCluster(db, "one");
  await feed.poll();
  assert.deepEqual(feed.told(), ["one"]);
  for (const ms of [1_000, 9_500, 20_000]) {
    feed.pass(ms);
    await feed.poll();
  }
  assert.deepEqual(feed.told(), []);
});

test("the change feed does not miss a change that commits after a later one", async (t) => {
  const db = await freshDatabase(t);
  const feed = watch(db);
  await feed.poll();
  const slow = await db.$client.connect();
  await slow.query("begin");
  await slow.query(
    `insert into clusters (id, name, uid, labels, created_at) values ('early', 'early', 'early', '{"region":"eu"}', now())`,
  );
  await addCluster(db, "late");
  await feed.poll();
  assert.deepEqual(feed.told(), ["late"]);
  await slow.query("commit");
  slow.release();
  await feed.poll();
  assert.deepEqual(feed.told(), ["early"]);
});

test("a change that could not be handled is told again", async (t) => {
  const db = await freshDatabase(t);
  let failures = 1;
  const told: string[] = [];
  const feed = createChangeFeed(
    db,
    () => new Date(0),
    ({ clusterIds }) => {
      if (failures-- > 0) return Promise.reject(new Error("database away"));
      told.push(...clusterIds);
      return Promise.resolve();
    },
  );
  await addCluster(db, "one");
  await assert.rejects(feed.poll());
  await feed.poll();
  assert.deepEqual(told, ["one"]);
});
