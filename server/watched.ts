import type { Logger } from "pino";
import { openTraces, type Traces } from "#traces";

import packageJson from "../package.json" with { type: "json" };
import type { Config } from "./config.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import type { Loop } from "./reconcile/driver.ts";
import type { Database } from "./store/pool.ts";

/** Where what goes on in a server is seen. */
export interface Watched {
  readonly metrics: Metrics;
  readonly traces: Traces;
  readonly log: Logger;
}

/** At its end a server waits so long for the collector to take what is left. */
const tracesMs = 2_000;

export interface WatchedOptions {
  readonly config: Pick<Config, "traces">;
  readonly db: Database;
  readonly log: Logger;
  readonly loops: () => readonly Loop[];
}

/** Metrics, and traces, which are off unless the environment says otherwise; what becomes of spans is a metric. */
export async function openWatched(
  { config, db, log, loops }: WatchedOptions,
  undo: (() => Promise<void>)[],
): Promise<Watched> {
  const metrics = createMetrics(db.$client, () => loops().map((loop) => loop.status()));
  undo.push(() => Promise.resolve(metrics.stop()));
  const onTrouble = (message: string) => log.warn(message);
  const traces = await openTraces({ settings: config.traces, version: packageJson.version, onTrouble });
  metrics.spans(() => traces.counts());
  undo.push(() => traces.stop(tracesMs));
  return { metrics, traces, log };
}
