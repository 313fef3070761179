import { randomBytes } from "node:crypto";
import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Pool } from "pg";
import { type Database, openPool } from "../../server/store/pool.ts";
import { databaseUrl, startThrowaway, templateName, type Throwaway } from "./throwaway.ts";

/** Set by the global setup of a run: the Postgres that all test files share. */
export const sharedUrlVariable = "FALCONRY_TEST_POSTGRES";

/** A migrated, empty database of this test alone, with its address for processes that the test starts. */
export type TestDatabase = Database & { readonly url: string };

/**
 * Clones the migrated template and drops the clone after the test, when all other after-hooks of the test are done. A
 * test that leaves a connection of its own open fails then, by name: a leaked pool would keep a real process from
 * ending.
 */
export async function freshDatabase(t: TestContext): Promise<TestDatabase> {
  const { url, onEnd } = await clone(t);
  const db = openPool({
    url,
    connectionsMax: 10,
    onIdleError: (error) => t.diagnostic(`idle connection broke: ${error.message}`),
  });
  onEnd(() => db.$client.end());
  return Object.assign(db, { url });
}

/** As {@link freshDatabase}, for tests that open no pool themselves: only the address. */
export async function freshDatabaseUrl(t: TestContext): Promise<string> {
  return (await clone(t)).url;
}

interface Clone {
  readonly url: string;
  /** Registers what has to happen before the clone is dropped. */
  readonly onEnd: (end: () => Promise<void>) => void;
}

async function clone(t: TestContext): Promise<Clone> {
  const server = await serverUrl();
  const name = `test_${randomBytes(8).toString("hex")}`;
  // Nobody writes to the template: its files are as they stand, and to copy them is a third of what it costs to log each page.
  await adminOf(server).query(`create database ${name} template ${templateName} strategy file_copy`);
  const endings: (() => Promise<void>)[] = [];
  const drop = async (): Promise<void> => {
    for (const end of endings) await end();
    const left = await connectionsLeft(server, name);
    await adminOf(server).query(`drop database ${name} with (force)`);
    if (left.length > 0) {
      throw new Error(`The test left ${left.length} connections to its database open: ${left.join(", ")}`);
    }
  };
  // Hooks run in the order of their registration, and one that a hook registers runs after all others.
  t.after(() => t.after(drop));
  return { url: databaseUrl(server, name), onEnd: (end) => endings.push(end) };
}

/** The clock itself: one that a test has put in its place still stands there while its hooks run, and leaves no moment of grace. */
const monotonicMs = performance.now.bind(performance);

/** The names of the clients that still hold a connection after a moment of grace. */
async function connectionsLeft(server: string, name: string): Promise<readonly string[]> {
  const end = monotonicMs() + 3_000;
  for (;;) {
    const { rows } = await adminOf(server).query<{ who: string }>(
      "select coalesce(nullif(application_name, ''), 'unnamed') as who from pg_stat_activity where datname = $1",
      [name],
    );
    if (rows.length === 0 || monotonicMs() > end) return rows.map(({ who }) => who);
    await delay(20);
  }
}

let admin: Pool | undefined;

/** The one connection that this process has for making and dropping databases, because each costs Postgres a process. It does not keep ours alive. */
function adminOf(url: string): Pool {
  if (admin === undefined) {
    admin = new Pool({ connectionString: url, max: 1, idleTimeoutMillis: 0, allowExitOnIdle: true });
    admin.on("error", () => {}); // The end of Postgres is the end of the run.
  }
  return admin;
}

let own: Promise<Throwaway> | undefined;

/**
 * The address of the throw-away Postgres. Without the global setup (a file run by itself) the process starts its own,
 * and ends it when it has nothing left to do.
 */
async function serverUrl(): Promise<string> {
  const shared = process.env[sharedUrlVariable];
  if (shared !== undefined) return shared;
  if (own === undefined) {
    own = startThrowaway();
    process.once("beforeExit", () => void own?.then((server) => server.stop()));
  }
  return (await own).url;
}
