import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { Client, type Pool } from "pg";

import { Failure } from "../failure.ts";

/** Where the migrations of this version of the code are. */
const here = import.meta.dirname;
/** Beside the server's one file, or in the sources' top folder. */
export const migrationsFolder = import.meta.filename.endsWith(".ts")
  ? join(here, "..", "..", "migrations")
  : join(here, "migrations");

/** Serialises migrations of one database, whoever runs them: the bytes of "falconry" read as a number. */
const migrationLock = "7377296838936654457";
const lockTimeoutMs = 120_000;

interface Migration {
  readonly tag: string;
  /** Orders the migrations and is their key in the database: milliseconds. */
  readonly when: number;
  readonly hash: string;
  readonly text: string;
}

interface Applied {
  readonly hash: string;
  readonly created_at: string;
}

/**
 * Brings a database to the schema of this code. Each pending migration is a transaction of its own, so that what one locks is free before
 * the next, which may take long; after one that fails, those before it stay, and the next call goes on from there. Safe with several
 * servers starting at once: they take turns, and those that come later find nothing to do. Answers with the names of the migrations that
 * it applied.
 *
 * Fails when the database is newer than the code, when an applied migration is not the text it was, and at once when the signal comes: then
 * the database takes back the migration that was under way.
 */
export async function migrate(
  url: string,
  folder: string = migrationsFolder,
  signal?: AbortSignal,
): Promise<readonly string[]> {
  if (signal?.aborted === true) throw ended(signal);
  const client = new Client({
    connectionString: url,
    connectionTimeoutMillis: 10_000,
    application_name: "falconry-migrate",
  });
  // A connection that breaks in between also rejects the query in flight: that is the error to show.
  client.on("error", () => {});
  const work = applyPending(client, folder);
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const giveUp = () => {
      reject(ended(signal));
      // Breaks the connection off in the middle of whatever it does; that this fails the work is what it is for.
      void client.end().catch(() => {});
    };
    signal.addEventListener("abort", giveUp);
    void work.then(resolve, reject).finally(() => signal.removeEventListener("abort", giveUp));
  });
}

function ended(signal: AbortSignal): Error {
  return new Error("The migrations were ended", { cause: signal.reason });
}

async function applyPending(client: Client, folder: string): Promise<readonly string[]> {
  await client.connect();
  try {
    // By itself Postgres works on for a client that is gone, and holds what it has locked, until it has something to say to it.
    await client.query(noticeGone).catch((error: unknown) => livesOn(client, error));
    await client.query(`set lock_timeout = ${lockTimeoutMs}`);
    // Held by the session: a process that dies lets go of it with its connection.
    await client.query("select pg_advisory_lock($1::bigint)", [migrationLock]);
    await client.query("set lock_timeout = 0");
    const pending = compare(readMigrations(folder), await readApplied(client));
    if (pending.length > 0) await client.query(journalTable);
    for (const migration of pending) await apply(client, migration);
    return pending.map(({ tag }) => tag);
  } finally {
    await client.end();
  }
}

/** A database that refuses a setting is one to go on with; one whose connection broke is not, and then this throws what broke it. */
async function livesOn(client: Client, error: unknown): Promise<void> {
  await client.query("select 1").catch(() => {
    throw error;
  });
}

/** Releases before 14 do not know it, and those on systems that do not tell of a connection that was closed refuse it. */
const noticeGone =
  "select set_config(name, '1s', false) from pg_settings where name = 'client_connection_check_interval'";

/** Where drizzle keeps the same, so that its tools can read it. */
const journalTable = `create schema if not exists drizzle;
  create table if not exists drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint)`;

async function apply(client: Client, { tag, when, hash, text }: Migration): Promise<void> {
  try {
    await client.query("begin");
    await client.query(text);
    await client.query("insert into drizzle.__drizzle_migrations (hash, created_at) values ($1, $2)", [
      hash,
      when,
    ]);
    await client.query("commit");
  } catch (error) {
    // The end of the connection takes back what it began.
    throw new Error(`The migration ${tag} failed`, { cause: error });
  }
}

/** The migrations that a database still lacks. Fails as `migrate` does; changes nothing. */
export async function pendingMigrations(
  client: Pool | Client,
  folder: string = migrationsFolder,
): Promise<readonly string[]> {
  return compare(readMigrations(folder), await readApplied(client)).map(({ tag }) => tag);
}

async function readApplied(client: Pool | Client): Promise<readonly Applied[]> {
  const found = await client.query<{ found: boolean }>(
    "select to_regclass('drizzle.__drizzle_migrations') is not null as found",
  );
  if (found.rows[0]?.found !== true) return [];
  const { rows } = await client.query<Applied>(
    "select hash, created_at from drizzle.__drizzle_migrations order by created_at",
  );
  return rows;
}

function compare(known: readonly Migration[], applied: readonly Applied[]): readonly Migration[] {
  const byTime = new Map(known.map((migration) => [migration.when, migration]));
  const newest = known.at(-1);
  for (const row of applied) {
    const migration = byTime.get(Number(row.created_at));
    if (migration === undefined) {
      throw new Failure(
        `The database is newer than this server: it has a migration made at ${row.created_at}, and the newest one ` +
          `known here is ${newest?.tag ?? "none"}. Start a server of the version that migrated it, or a newer one`,
        2,
      );
    }
    if (migration.hash !== row.hash) {
      throw new Failure(
        `The migration ${migration.tag} is not the text that was applied to this database ` +
          `(SHA-256 here ${migration.hash}, there ${row.hash}). Restore migrations/${migration.tag}.sql and put the ` +
          "change in a new migration",
        2,
      );
    }
  }
  const done = new Set(applied.map((row) => Number(row.created_at)));
  const pending = known.filter((migration) => !done.has(migration.when));
  const skipped = pending.find((migration) => applied.some((row) => Number(row.created_at) > migration.when));
  if (skipped !== undefined) {
    throw new Failure(
      `The migration ${skipped.tag} was never applied to this database, but later ones were. Give it a number and ` +
        "a time after the newest one in migrations/meta/_journal.json",
      2,
    );
  }
  return pending;
}

function readMigrations(folder: string): readonly Migration[] {
  const journal = JSON.parse(readFileSync(join(folder, "meta", "_journal.json"), "utf8")) as {
    readonly entries: readonly { readonly tag: string; readonly when: number }[];
  };
  return journal.entries.map(({ tag, when }) => {
    const text = readFileSync(join(folder, `${tag}.sql`), "utf8");
    return { tag, when, text, hash: createHash("sha256").update(text).digest("hex") };
  });
}
