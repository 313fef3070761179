import { sql } from "./drizzle.ts";
import { Client } from "pg";

import type { Db } from "./pool.ts";

/** The one channel. Notifications carry nothing: what changed is read from the tables. */
export const changedChannel = "falconry_changed";

/**
 * Tells every server that assignments, trust metadata or labels changed; delivered when the transaction commits. Only
 * for rare events: a notifying commit takes a lock that all of them share.
 */
export async function notifyChanged(db: Db): Promise<void> {
  await db.execute(sql`select pg_notify(${changedChannel}, '')`);
}

export interface Listener {
  /** False while the connection is away; whoever depends on it polls anyway. */
  isConnected(): boolean;
  stop(): Promise<void>;
}

export interface ListenOptions {
  readonly url: string;
  /** Called on each notification, and after each reconnect because some may have been missed. Must not throw. */
  readonly onChange: () => void;
  readonly onError: (error: unknown) => void;
}

const retryMsMin = 200;
const retryMsMax = 10_000;
const pingMs = 15_000;

/** Listens on a connection of its own and comes back after every loss, with growing and jittered pauses. */
export function listenForChanges(options: ListenOptions): Listener {
  let client: Client | undefined;
  let timer: NodeJS.Timeout | undefined;
  let retryMs = retryMsMin;
  let isStopped = false;

  async function connect(): Promise<void> {
    const next = newClient(options.url);
    next.on("error", (error) => {
      lost(next, error);
    });
    next.on("end", () => {
      lost(next, new Error("The listening connection to the database ended"));
    });
    next.on("notification", options.onChange);
    try {
      await next.connect();
      await next.query(`listen ${changedChannel}`);
    } catch (error) {
      lost(next, error, true);
      return;
    }
    if (isStopped) return void next.end().catch(options.onError);
    client = next;
    retryMs = retryMsMin;
    timer = setTimeout(() => void ping(next), pingMs);
    options.onChange();
  }

  /** A connection that died silently is only noticed by using it. */
  async function ping(current: Client): Promise<void> {
    try {
      await current.query("select 1");
      if (client === current) timer = setTimeout(() => void ping(current), pingMs);
    } catch (error) {
      lost(current, error);
    }
  }

  function lost(which: Client, error: unknown, whileConnecting: boolean = false): void {
    if (isStopped || (which !== client && !whileConnecting)) return;
    client = undefined;
    clearTimeout(timer);
    which.end().catch(() => {}); // It is broken already; the loss itself is reported below.
    options.onError(error);
    timer = setTimeout(() => void connect(), retryMs * (0.5 + Math.random() / 2));
    retryMs = Math.min(retryMs * 2, retryMsMax);
  }

  void connect();
  return {
    isConnected: () => client !== undefined,
    stop: async () => {
      isStopped = true;
      clearTimeout(timer);
      await client?.end();
      client = undefined;
    },
  };
}

function newClient(url: string): Client {
  return new Client({
    connectionString: url,
    connectionTimeoutMillis: 5_000,
    query_timeout: 10_000,
    application_name: "falconry-listen",
    keepAlive: true,
  });
}
