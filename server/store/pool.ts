import { drizzle, type NodePgDatabase } from "./drizzle.ts";
import { DatabaseError, Pool } from "pg";

import * as schema from "./schema.ts";

type Schema = typeof schema;

/** The whole database, through its pool. Only who needs `transaction` on the top level asks for this. */
export type Database = NodePgDatabase<Schema> & { readonly $client: Pool };

/** A transaction of `Database`. */
export type Transaction = Parameters<Parameters<NodePgDatabase<Schema>["transaction"]>[0]>[0];

/** What query functions take: the pool or a transaction, so that callers compose them. */
export type Db = NodePgDatabase<Schema> | Transaction;

export interface PoolOptions {
  readonly url: string;
  readonly connectionsMax: number;
  /** Hears of connections that broke while idle; the pool replaces them by itself. */
  readonly onIdleError: (error: Error) => void;
}

/**
 * A pool whose waits are bounded: 5 s for a connection, 15 s for a statement, 20 s for its answer. So a database that is away or stuck is
 * an error that the caller sees, never a call that hangs. The caller ends it with `db.$client.end()`.
 */
export function openPool(options: PoolOptions): Database {
  const pool = new Pool({
    connectionString: options.url,
    max: options.connectionsMax,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 30_000,
    statement_timeout: 15_000,
    // For a database that is frozen and cannot keep its own time; below the 30 s that callers wait.
    query_timeout: 20_000,
    // Of a host that vanished: its locks are free for another server within the time that a takeover has. Nothing thinks for so
    // long between two statements; what bundles hold is loaded before a transaction.
    idle_in_transaction_session_timeout: 10_000,
    // Postgres would compile what reads a whole fleet, each time anew: a look at 5,000 clusters took 489 ms with it and 417 without.
    options: "-c jit=off",
    application_name: "falconry-server",
    keepAlive: true,
  });
  // Without a listener an idle connection that breaks would end the process.
  pool.on("error", options.onIdleError);
  // The same for one that breaks while a transaction thinks between two statements: its next statement fails and says so.
  pool.on("connect", (client) => client.on("error", () => {}));
  return drizzle(pool, { schema });
}

/**
 * SQLSTATE classes and codes that say "not now": connection, resources, operator intervention, serialisation, locks, a
 * transaction that idled too long, and writing to a standby while a failover is under way.
 */
const unavailable = /^(08...|53...|57P0[1-5]|57014|40001|40P01|55P03|25P03|25006)$/;
const networkCodes = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOENT",
  "EPIPE",
  "ETIMEDOUT",
  "ENOTFOUND",
  "EAI_AGAIN",
]);

/** What the driver says without a code when the connection under a statement is gone. */
const brokenConnection =
  /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Query read timeout)/;

/**
 * Whether an error means that the database is away, starting, stopping or full, so that trying again later may work.
 * Looks through causes, because drizzle wraps what the driver throws.
 */
export function isDatabaseAway(error: unknown): boolean {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth += 1) {
    if (at instanceof AggregateError && at.errors.some((each) => isDatabaseAway(each))) return true;
    const code = "code" in at && typeof at.code === "string" ? at.code : "";
    if (unavailable.test(code) || networkCodes.has(code)) return true;
    if (brokenConnection.test(at.message)) return true;
  }
  return false;
}

/** Whether a statement ran longer than it may, or was cancelled. */
export function isStatementLate(error: unknown): boolean {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth += 1) {
    if (at instanceof DatabaseError && at.code === "57014") return true;
  }
  return false;
}

/** Whether text could not be stored because of a character that Postgres does not take: NUL, or half of a pair. */
export function isUnstorableText(error: unknown): boolean {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth += 1) {
    if (at instanceof DatabaseError && (at.code === "22021" || at.code === "22P05")) return true;
  }
  return false;
}

/** The name of the violated constraint, when the error is a unique violation; for insert-or-refuse. */
export function uniqueViolation(error: unknown): string | undefined {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth += 1) {
    if (at instanceof DatabaseError && at.code === "23505") return at.constraint ?? "";
  }
  return undefined;
}
