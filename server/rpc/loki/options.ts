import type { Signal } from "../../sessions/signal.ts";
import type { Database } from "../../store/pool.ts";

/** Where all of Loki's API lies. */
export const lokiPath = "/loki/api/v1/";

export interface LokiOptions {
  readonly db: Database;
  /** Rings when alerts were stored by this server. */
  readonly arrivals: Signal;
  readonly clock: () => Date;
  /** Aborted when the server drains: tails end then. */
  readonly leaving: AbortSignal;
}

export function splitUrl(url: string): readonly [path: string, query: string] {
  const at = url.indexOf("?");
  return at === -1 ? [url, ""] : [url.slice(0, at), url.slice(at + 1)];
}
