import { mkdirSync, realpathSync } from "node:fs";
import { dirname } from "node:path";
import { findBinaries } from "./binaries.ts";
import { Cluster } from "./cluster.ts";
import { initialise } from "./initialise.ts";
import { lockFolder } from "./lock.ts";
import { forgetUnfinished, type Place, settle } from "./place.ts";
import { urlOf } from "./ready.ts";
import { olderHomes } from "./shared-home.ts";

export interface PostgresOptions {
  /** Folder of this cluster, created when missing. One process at a time may supervise it. */
  readonly dir: string;
  /** One line of talk, with its facts. */
  readonly log?: (message: string, facts: Readonly<Record<string, unknown>>) => void;
  /** Settings of postgresql.conf that differ from ours. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Called after the server died and came back. */
  readonly onRestart?: (restarts: number) => void;
  /** Ends the start: what it began is ended with it, and it throws. Nothing afterwards, which `stop` is for. */
  readonly signal?: AbortSignal;
}

export interface EmbeddedPostgres {
  /** For `pg`: the database `falconry`, as its owner, over a private unix socket. Stays the same across restarts. */
  readonly url: string;
  /** The postmaster, undefined while it is away. */
  readonly pid: number | undefined;
  /** How many times the server died under this supervisor and was started again. */
  readonly restarts: number;
  /** How this start found the cluster. */
  readonly found: "created" | "existing" | "adopted";
  /** Folder of the cluster's files; not below `dir` when the account of Postgres cannot go there. */
  readonly data: string;
  /** What Postgres itself writes. */
  readonly logFile: string;
  /** Disconnects everybody, writes everything down, ends the server. Idempotent. */
  readonly stop: () => Promise<void>;
}

const ownSettings: Readonly<Record<string, string>> = {
  max_connections: "100",
  shared_buffers: "128MB",
  max_wal_size: "1GB",
  unix_socket_permissions: "0700",
  timezone: "UTC",
  log_timezone: "UTC",
  log_checkpoints: "off",
  log_line_prefix: "%m [%p] ",
};

/**
 * Brings up the Postgres of `dir` and keeps it up: creates it when missing, takes over one that a killed supervisor
 * left running, recovers one that was killed itself, and starts it again whenever it dies. It does not keep the
 * process alive by itself. Throws `PostgresError`.
 */
export async function startPostgres(options: PostgresOptions): Promise<EmbeddedPostgres> {
  mkdirSync(options.dir, { recursive: true });
  const dir = realpathSync(options.dir);
  const unlock = await lockFolder(dir);
  const log = options.log ?? (() => {});
  let settled: Place | undefined;
  let end = async () => {};
  try {
    const place = settle(dir);
    settled = place;
    const binaries = await findBinaries(place.account);
    const created = await initialise(binaries, place, options.settings?.["fsync"] !== "off", options.signal);
    const cluster = new Cluster(binaries, place, {
      settings: { ...ownSettings, ...options.settings },
      log,
      onRestart: options.onRestart ?? (() => {}),
    });
    const how = await cluster.up(options.signal);
    const watching = cluster.keepUp();
    end = () => cluster.down(watching);
    for (const home of olderHomes(dir, dirname(place.data))) {
      log("an older database of this state folder is left: remove it when nobody needs it", { home });
    }
    let stopped: Promise<void> | undefined;
    return {
      url: urlOf(place.sockets, "falconry"),
      data: place.data,
      logFile: place.log,
      found: how === "adopted" ? how : created,
      get pid() {
        return cluster.pid;
      },
      get restarts() {
        return cluster.restarts;
      },
      stop: () => (stopped ??= end().finally(unlock)),
    };
  } catch (error) {
    try {
      await end();
      if (settled !== undefined) forgetUnfinished(settled);
    } finally {
      unlock();
    }
    throw error;
  }
}
