import { setTimeout as delay } from "node:timers/promises";
import { Client } from "pg";
import { PostgresError } from "./errors.ts";

/** The address of a database on this cluster; nothing in the environment (PGPORT, PGSSLMODE) can bend it. */
export function urlOf(sockets: string, database: string): string {
  return `postgresql://falconry@/${database}?host=${encodeURIComponent(sockets)}&port=5432&sslmode=disable`;
}

/** Waits until the cluster answers (after a crash it first replays its log) and has the database `falconry`. */
export async function waitUntilReady(
  sockets: string,
  deadlineMs: number,
  signal: AbortSignal,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  let reason: unknown = new Error("no attempt was made");
  while (performance.now() < end && !signal.aborted) {
    try {
      return await createDatabase(sockets);
    } catch (error) {
      if (!isPassing(error)) throw error;
      reason = error;
    }
    await delay(50);
  }
  throw new PostgresError(
    `Postgres on ${sockets} did not answer within ${Math.round(deadlineMs / 1000)} s: ${String(reason)}`,
    { cause: reason },
  );
}

async function createDatabase(sockets: string): Promise<void> {
  const client = new Client({
    connectionString: urlOf(sockets, "postgres"),
    connectionTimeoutMillis: 5_000,
  });
  client.on("error", () => {}); // Reported by the query that it breaks.
  await client.connect();
  try {
    const { rowCount } = await client.query("select from pg_database where datname = 'falconry'");
    if (rowCount === 0) await client.query("create database falconry");
  } finally {
    await client.end();
  }
}

/** Not there yet, starting up, shutting down or just restarting: worth another try. */
function isPassing(error: unknown): boolean {
  const { code, message } = error as { code?: string; message?: string };
  const passing = ["ENOENT", "ECONNREFUSED", "ECONNRESET", "EPIPE", "57P03", "57P02", "57P01", "53300"];
  return passing.includes(code ?? "") || /terminated|timeout/i.test(message ?? "");
}
