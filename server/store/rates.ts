import { sql } from "./drizzle.ts";

import { numbersParam, param } from "./assignments.ts";
import type { Db } from "./pool.ts";

/** The counters of one agent and minute. */
export interface RateRow {
  readonly agentId: string;
  readonly clusterId: string;
  readonly minute: Date;
  readonly events: bigint;
  readonly bytes: bigint;
  readonly alerts: bigint;
  readonly dropped: bigint;
  readonly parked: bigint;
  readonly lagMs: bigint;
  readonly detectionUs: bigint;
  /** How much of the minute is covered. */
  readonly seconds: number;
}

/**
 * Stores minutes of any number of agents in one statement. A minute that comes again replaces what was known of it,
 * unless it covers less: a late copy never takes anything back.
 */
export async function storeRates(db: Db, rows: readonly RateRow[]): Promise<void> {
  // One statement cannot change a row twice.
  const newest = new Map<string, RateRow>();
  for (const row of rows) {
    const key = `${row.agentId} ${row.minute.getTime()}`;
    if ((newest.get(key)?.seconds ?? 0) <= row.seconds) newest.set(key, row);
  }
  if (newest.size === 0) return;
  const all = [...newest.values()];
  const counts = (of: (row: RateRow) => bigint) => sql`${numbersParam(all.map(of))}::bigint[]`;
  await db.execute(sql`
    insert into rates as r
      (agent_id, cluster_id, minute, events, bytes, alerts, dropped, parked, lag_ms, detection_us, seconds)
    select * from unnest(
      ${param(all.map((row) => row.agentId))}::text[],
      ${param(all.map((row) => row.clusterId))}::text[],
      ${param(all.map((row) => row.minute.toISOString()))}::timestamptz[],
      ${counts((row) => row.events)}, ${counts((row) => row.bytes)}, ${counts((row) => row.alerts)},
      ${counts((row) => row.dropped)}, ${counts((row) => row.parked)}, ${counts((row) => row.lagMs)},
      ${counts((row) => row.detectionUs)}, ${numbersParam(all.map((row) => row.seconds))}::smallint[]
    ) as x (agent_id, cluster_id, minute, events, bytes, alerts, dropped, parked, lag_ms, detection_us, seconds)
    order by x.minute, x.agent_id
    on conflict (minute, agent_id) do update set
      events = excluded.events, bytes = excluded.bytes, alerts = excluded.alerts, dropped = excluded.dropped,
      parked = excluded.parked, lag_ms = excluded.lag_ms, detection_us = excluded.detection_us,
      seconds = excluded.seconds
    where excluded.seconds >= r.seconds and (r.*) is distinct from (excluded.*)`);
}
