import { setTimeout as delay } from "node:timers/promises";

import { sql } from "../../../server/store/drizzle.ts";

import type { Database } from "../../../server/store/pool.ts";
import type { TestServer } from "../../../server/testing.ts";
import type { ServerProcess } from "../../floods/server-process.ts";
import { median, percentile, rounded } from "../figures.ts";
import type { Crowd } from "./crowd.ts";

/** What the phases measure: one server process, its database, and the agents. */
export interface Bench {
  server: ServerProcess;
  readonly admin: Pick<TestServer, "client" | "bare">;
  readonly db: Database;
  readonly postgresPid: number;
  readonly crowd: Crowd;
  /** Digests of the versions that are rolled out in turns, and how many rollouts there were. */
  readonly digests: readonly string[];
  pushes: number;
  /** Starts a server on the same state, port and database. */
  readonly restart: () => Promise<ServerProcess>;
}

/** Waits until `look` gives something; asks four times a second, so that asking costs nothing. */
export async function waitFor<T>(
  what: string,
  withinMs: number,
  look: () => Promise<T | undefined>,
): Promise<T> {
  const end = performance.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > end) throw new Error(`Waited ${withinMs / 1000} s in vain for ${what}`);
    await delay(250);
  }
}

export async function waitForAgents(at: Bench, withinMs: number): Promise<void> {
  await waitFor(`${at.crowd.size} agents`, withinMs, async () => {
    const { connected } = await at.crowd.look();
    return connected === at.crowd.size ? true : undefined;
  });
}

/** What the database has written so far. */
export interface Written {
  /** Transactions that wrote something: each took a number. */
  readonly transactions: number;
  readonly rows: number;
  readonly walBytes: number;
}

export async function written(db: Database): Promise<Written> {
  // Statistics reach the view within a second after their transaction.
  await delay(1_200);
  const { rows } = await db.execute<{ transactions: string; rows: string; wal: string }>(sql`
    select pg_snapshot_xmax(pg_current_snapshot())::text as transactions,
      (select (tup_inserted + tup_updated + tup_deleted)::text from pg_stat_database
        where datname = current_database()) as rows,
      pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::text as wal`);
  const [row] = rows;
  return {
    transactions: Number(row?.transactions),
    rows: Number(row?.rows),
    walBytes: Number(row?.wal),
  };
}

export function describe(
  times: readonly number[],
): Readonly<Record<"calls" | "p50" | "p99" | "max", number>> {
  return {
    calls: times.length,
    p50: rounded(median(times), 1),
    p99: rounded(percentile(times, 0.99), 1),
    max: rounded(Math.max(...times), 1),
  };
}
