import { heartbeatMs, silentAfterMs } from "../domain/liveness.ts";
import { sql, type SQL } from "./drizzle.ts";

/** Whether an agent has left, as `hasLeft` has it, by its columns `left_at` and `last_seen_at`. */
export function hasLeft(agent: SQL, now: Date): SQL {
  const silent = new Date(now.getTime() - silentAfterMs).toISOString();
  return sql`coalesce(${agent}.last_seen_at < ${silent}::timestamptz
    and ${agent}.last_seen_at <= ${agent}.left_at + ${heartbeatMs}::int * interval '1 millisecond', false)`;
}
