import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

import { startPostgres } from "#postgres";
import { Client } from "pg";
import type { Logger } from "pino";

import { Failure } from "./failure.ts";
import { writeDurably } from "./state.ts";

/** The database of a fleet, ours or somebody else's. */
export interface OpenDatabase {
  readonly url: string;
  /** Stops the embedded Postgres; an external one is left alone. */
  stop(): Promise<void>;
}

export interface DatabaseOptions {
  /** Undefined means the embedded one. */
  readonly url: string | undefined;
  readonly stateDir: string;
  readonly log: Logger;
  /** Ends the start of the embedded one. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Opens the external database that was named, or starts the embedded one in the state directory. The address of the
 * embedded one is left in `database.url`, so that commands beside the server find it.
 */
export async function openDatabase(options: DatabaseOptions): Promise<OpenDatabase> {
  const { url, stateDir, log, signal } = options;
  if (url !== undefined) return { url, stop: () => Promise.resolve() };
  const postgres = await startPostgres({
    dir: join(stateDir, "postgres"),
    log: (message, facts) => log.info(facts, message),
    ...(signal === undefined ? {} : { signal }),
  });
  const note = join(stateDir, "database.url");
  rmSync(note, { force: true });
  writeDurably(note, `${postgres.url}\n`);
  return {
    url: postgres.url,
    stop: async () => {
      rmSync(note, { force: true });
      await postgres.stop();
    },
  };
}

/**
 * For a command beside the server: the external database, the embedded one of a server that runs, or else the embedded
 * one started for this command alone.
 */
export async function borrowDatabase(options: DatabaseOptions): Promise<OpenDatabase> {
  if (options.url !== undefined) return { url: options.url, stop: () => Promise.resolve() };
  const running = await findRunning(join(options.stateDir, "database.url"));
  return running === undefined ? openDatabase(options) : { url: running, stop: () => Promise.resolve() };
}

async function findRunning(note: string): Promise<string | undefined> {
  let url: string;
  try {
    url = readFileSync(note, "utf8").trim();
  } catch {
    return undefined; // No server has written it: there is none to borrow from.
  }
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 3_000 });
  client.on("error", () => {});
  try {
    await client.connect();
    return url;
  } catch {
    return undefined; // Left behind by a server that was killed.
  } finally {
    await client.end().catch(() => {});
  }
}

/** What a person is told when the database turns a server away at its start. */
export function databaseFailure(error: unknown, url: string): Failure | undefined {
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
  const place = placeOf(url);
  const words = error instanceof Error ? error.message : String(error);
  if (code.startsWith("28")) {
    return new Failure(
      `The database at ${place} refuses the login (${words}): check user and password in DATABASE_URL`,
      2,
    );
  }
  if (code === "3D000") {
    return new Failure(
      `The database at ${place} does not exist (${words}): create it, or check DATABASE_URL`,
      2,
    );
  }
  if (code === "53100") {
    return new Failure(`The disk of the database at ${place} is full (${words}): free some space`, 3);
  }
  if (/^(08|53|57)/.test(code) || /^E[A-Z_]+$/.test(code) || /timeout|terminated/i.test(words)) {
    const why = words === "" ? code : words;
    return new Failure(
      `The database at ${place} cannot be reached (${why}): start it, or check DATABASE_URL`,
      3,
      { cause: error },
    );
  }
  return undefined;
}

/** Host, port and database name; never the password. */
function placeOf(url: string): string {
  const parsed = new URL(url.replace("@/", "@localhost/"));
  return `${parsed.searchParams.get("host") ?? parsed.host}${parsed.pathname}`;
}
