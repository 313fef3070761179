import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { test, type TestContext } from "node:test";

import { Client } from "pg";

import { freshDatabaseUrl } from "../../test/support/postgres.ts";
import { migrate, migrationsFolder, pendingMigrations } from "./migrate.ts";

/** A database without our schema, beside the migrated one. */
async function emptyDatabase(t: TestContext): Promise<string> {
  const url = await freshDatabaseUrl(t);
  await query(url, "drop schema public cascade; drop schema if exists drizzle cascade; create schema public");
  return url;
}

async function query<R extends object>(url: string, text: string): Promise<readonly R[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<R>(text)).rows;
  } finally {
    await client.end();
  }
}

function copyOfMigrations(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "falconry-migrations-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(migrationsFolder, folder, { recursive: true });
  return folder;
}

function addMigration(folder: string, tag: string, when: number, text: string): void {
  const path = join(folder, "meta", "_journal.json");
  const journal = JSON.parse(readFileSync(path, "utf8")) as { entries: object[] };
  journal.entries.push({ idx: journal.entries.length, version: "7", when, tag, breakpoints: true });
  writeFileSync(path, JSON.stringify(journal));
  writeFileSync(join(folder, `${tag}.sql`), text);
}

test("four servers that start at once on an empty database migrate it exactly once", async (t) => {
  const url = await emptyDatabase(t);
  const results = await Promise.all([migrate(url), migrate(url), migrate(url), migrate(url)]);
  const applied = results.filter((tags) => tags.length > 0);
  assert.equal(applied.length, 1);
  assert.deepEqual(applied[0]?.[0], "0001_fleet");
  const rows = await query<{ count: string }>(url, "select count(*) from drizzle.__drizzle_migrations");
  assert.equal(Number(rows[0]?.count), applied[0]?.length);
});

test("a database that cannot watch over its connections is migrated all the same", async (t) => {
  const url = await freshDatabaseUrl(t);
  // As Postgres refuses it where the system does not tell it that a client is gone.
  await query(
    url,
    `create schema refusing;
    create function refusing.set_config(text, text, boolean) returns text language plpgsql as
    $$ begin raise 'invalid value for parameter "%": %', $1, $2 using errcode = '22023'; end $$`,
  );
  const refusing = `${url}${url.includes("?") ? "&" : "?"}options=-csearch_path%3Drefusing,pg_catalog,public`;
  await assert.rejects(
    query(refusing, "select set_config('a', 'b', false)"),
    /invalid value for parameter "a"/,
  );
  assert.deepEqual(await migrate(refusing), []);
});

test("a database that a newer server migrated is refused, and told so", async (t) => {
  const url = await freshDatabaseUrl(t);
  const newer = copyOfMigrations(t);
  addMigration(newer, "9999_later", 9_000_000_000_000, "create table later (id int)");
  assert.deepEqual(await migrate(url, newer), ["9999_later"]);
  await assert.rejects(migrate(url), { name: "Failure", exitCode: 2, message: /newer than this server/ });
});

test("a migration whose text changed after it was applied is refused by name", async (t) => {
  const url = await freshDatabaseUrl(t);
  const folder = copyOfMigrations(t);
  const file = join(folder, "0001_fleet.sql");
  writeFileSync(file, `${readFileSync(file, "utf8")}\n-- one more remark\n`);
  await assert.rejects(migrate(url, folder), { name: "Failure", message: /0001_fleet is not the text/ });
});

test("a migration that sorts before one that was applied is refused instead of being left out", async (t) => {
  const url = await freshDatabaseUrl(t);
  const folder = copyOfMigrations(t);
  addMigration(folder, "0000_forgotten", 1, "create table forgotten (id int)");
  await assert.rejects(migrate(url, folder), {
    name: "Failure",
    message: /0000_forgotten was never applied/,
  });
});

test("a migration that fails leaves nothing of itself behind; those before it stay, and hold no locks meanwhile", async (t) => {
  const url = await freshDatabaseUrl(t);
  const folder = copyOfMigrations(t);
  addMigration(folder, "9998_whole", 8_999_000_000_000, "alter table rollouts add column whole text");
  const asksElsewhere = `create table half (id int);
    do $$ begin
      if exists (select 1 from pg_locks where relation = 'rollouts'::regclass and mode = 'AccessExclusiveLock'
        and database = (select oid from pg_database where datname = current_database()))
      then raise 'rollouts are locked'; end if;
    end $$;
    select 1 / 0`;
  addMigration(folder, "9999_broken", 9_000_000_000_000, asksElsewhere);
  await assert.rejects(migrate(url, folder), (error: Error) => {
    assert.equal(error.message, "The migration 9999_broken failed");
    assert.match(String(error.cause), /division by zero/);
    return true;
  });
  const [row] = await query<{ half: string | null }>(url, "select to_regclass('half') as half");
  assert.equal(row?.half, null);
  writeFileSync(join(folder, "9999_broken.sql"), "alter table rollouts drop column whole");
  assert.deepEqual(await migrate(url, folder), ["9999_broken"]);
});

test("migrations that are ended end at once: the one under way is taken back, and holds nothing for longer than a moment", async (t) => {
  const url = await freshDatabaseUrl(t);
  const folder = copyOfMigrations(t);
  addMigration(folder, "9999_long", 9_000_000_000_000, "create table half (id int); select pg_sleep(600)");
  const stop = new AbortController();
  const migrating = migrate(url, folder, stop.signal);
  const asks =
    "select count(*)::int as n from pg_stat_activity where application_name = 'falconry-migrate' and datname = current_database()";
  const sleeping = async () =>
    (await query<{ n: number }>(url, `${asks} and wait_event = 'PgSleep'`))[0]?.n === 1;
  while (!(await sleeping())) await delay(20);
  stop.abort();
  await assert.rejects(migrating, /The migrations were ended/);
  while ((await query<{ n: number }>(url, asks))[0]?.n !== 0) await delay(20);
  const [row] = await query<{ half: string | null }>(url, "select to_regclass('half') as half");
  assert.equal(row?.half, null);
  await assert.rejects(migrate(url, folder, stop.signal), /The migrations were ended/);
});

test("hours that are counted when totals come lie in the day of their totals, and go with it", async (t) => {
  const url = await emptyDatabase(t);
  const older = copyOfMigrations(t);
  const path = join(older, "meta", "_journal.json");
  const journal = JSON.parse(readFileSync(path, "utf8")) as { entries: { tag: string }[] };
  const entries = journal.entries.filter(({ tag }) => tag < "0026");
  writeFileSync(path, JSON.stringify({ ...journal, entries }));
  await migrate(url, older);
  await query(
    url,
    `create table alert_hours_20260301 partition of alert_hours for values from ('2026-03-01 00:00:00+00') to ('2026-03-02 00:00:00+00');
    insert into alert_hours select hour, cluster, 'R', 4, 3, hour, hour
    from unnest(array['2026-03-01 05:00:00+00', '2026-02-01 05:00:00+00']::timestamptz[]) hour, unnest(array['cl_1', 'cl_2']) cluster`,
  );
  await migrate(url);
  const sums = await query(
    url,
    `select tableoid::regclass::text as lies, sum(count) filter (where rule = '')::int as "ofClusters",
      sum(count) filter (where cluster_id = '')::int as "ofRules" from alert_totals group by 1 order by 1`,
  );
  assert.deepEqual(sums, [
    { lies: "alert_totals_20260301", ofClusters: 6, ofRules: 6 },
    { lies: "alert_totals_default", ofClusters: 6, ofRules: 6 },
  ]);
});

test("pendingMigrations() lists what an empty database lacks and changes nothing", async (t) => {
  const url = await emptyDatabase(t);
  const client = new Client({ connectionString: url });
  await client.connect();
  t.after(() => client.end());
  assert.equal((await pendingMigrations(client))[0], "0001_fleet");
  assert.deepEqual(await query(url, "select 1 from pg_tables where schemaname = 'public'"), []);
});

test("every migration file is in the journal, in order, so that none is silently left out", () => {
  const files = readdirSync(migrationsFolder).filter((name) => /^\d{4}_.*\.sql$/.test(name));
  const journal = JSON.parse(readFileSync(join(migrationsFolder, "meta", "_journal.json"), "utf8")) as {
    entries: { tag: string; when: number }[];
  };
  assert.deepEqual(
    journal.entries.map((entry) => `${entry.tag}.sql`),
    files.sort(),
  );
  const times = journal.entries.map((entry) => entry.when);
  assert.deepEqual(
    times,
    [...new Set(times)].sort((a, b) => a - b),
  );
});
