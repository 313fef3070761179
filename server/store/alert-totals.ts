import { totalsOf } from "./alert-intake.ts";
import { sql } from "./drizzle.ts";
import type { Database } from "./pool.ts";

/** Hours from one time on and before another one; without the first, all before. */
export interface HourRange {
  readonly from?: Date | undefined;
  readonly to: Date;
}

/** Hours that one call puts right. */
const hoursMax = 48;
/** All that store alerts wait while an hour is put right, and it waits for those that do already. */
const waitMs = 500;

/**
 * Puts the totals of those hours right that differ from the counted hours, and answers how many: a server of a version that knew no totals
 * stores hours alone, and what is replayed from long ago is removed row by row. One server does so at a time; the others find nothing to do.
 */
export async function recountTotals(db: Database, { from, to }: HourRange): Promise<number> {
  const since = from === undefined ? sql`true` : sql`hour >= ${from.toISOString()}::timestamptz`;
  const within = sql`${since} and hour < ${to.toISOString()}::timestamptz`;
  const { rows } = await db.execute<{ hour: string }>(sql`
    select hour::text from (
      select hour, sum(count) as counted, 0 as by_cluster, 0 as by_rule from alert_hours where ${within} group by hour
      union all
      select hour, 0, coalesce(sum(count) filter (where rule = ''), 0), coalesce(sum(count) filter (where cluster_id = ''), 0)
      from alert_totals where ${within} group by hour
    ) sums group by hour
    having sum(counted) <> sum(by_cluster) or sum(counted) <> sum(by_rule)
    order by hour desc limit ${hoursMax}`);
  let recounted = 0;
  for (const { hour } of rows) if (await recount(db, hour)) recounted += 1;
  return recounted;
}

async function recount(db: Database, hour: string): Promise<boolean> {
  return db.transaction(async (tx) => {
    await tx.execute(sql.raw(`set local lock_timeout = ${waitMs}`));
    const { rows } = await tx.execute<{ ours: boolean }>(
      sql`select pg_try_advisory_xact_lock(hashtext('falconry partitions')) as ours`,
    );
    if (rows[0]?.ours !== true) return false;
    // Whoever stores a batch adds to hours and to totals in one statement: none of them is half done now, and the next one waits.
    await tx.execute(sql`lock table only alert_hours in share mode`);
    await tx.execute(sql`delete from alert_totals where hour = ${hour}::timestamptz`);
    await tx.execute(sql`
      insert into alert_totals (hour, cluster_id, rule, priority, share, count, last_at, received_at)
      ${totalsOf(sql`(select * from alert_hours where hour = ${hour}::timestamptz)`)}`);
    return true;
  });
}
