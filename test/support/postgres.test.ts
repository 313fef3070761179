import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { sql } from "../../server/store/drizzle.ts";
import { freshDatabase } from "./postgres.ts";

test("freshDatabase() gives two tests databases that do not see each other", async (t) => {
  const [one, other] = await Promise.all([freshDatabase(t), freshDatabase(t)]);
  assert.notEqual(one.url, other.url);
  await one.execute(sql`create table only_here (id int)`);
  const { rows } = await other.execute(sql`select to_regclass('only_here') as found`);
  assert.deepEqual(rows, [{ found: null }]);
});

test("freshDatabase() gives a migrated database", async (t) => {
  const db = await freshDatabase(t);
  const { rows } = await db.execute(sql`select count(*)::int as n from clusters`);
  assert.deepEqual(rows, [{ n: 0 }]);
});

test("freshDatabase() lets later after-hooks of the test still use the database", async (t) => {
  let seen: unknown;
  await t.test("a test that stops its server in a hook", async (t) => {
    const db = await freshDatabase(t);
    t.after(async () => {
      seen = (await db.execute(sql`select 1 as one`)).rows;
    });
  });
  assert.deepEqual(seen, [{ one: 1 }]);
});

test("freshDatabase() fails a test that leaks a connection, and says whose it is", () => {
  const folder = mkdtempSync(join(tmpdir(), "falconry-leak-"));
  try {
    const file = join(folder, "leak.test.mjs");
    const support = join(import.meta.dirname, "postgres.ts");
    const pg = import.meta.resolve("pg");
    writeFileSync(
      file,
      `import { test } from "node:test";
       import { freshDatabase } from ${JSON.stringify(support)};
       import { Client } from ${JSON.stringify(pg)};
       test("leaks", async (t) => {
         const db = await freshDatabase(t);
         const client = new Client({ connectionString: db.url, application_name: "forgotten" });
         client.on("error", () => {});
         await client.connect();
       });`,
    );
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const run = spawnSync(process.execPath, ["--test", file], { env, encoding: "utf8", timeout: 60_000 });
    assert.equal(run.status, 1, run.stdout + run.stderr);
    assert.match(run.stdout, /left 1 connections to its database open: forgotten/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
