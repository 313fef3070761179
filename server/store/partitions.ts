import { sql } from "./drizzle.ts";

import { dayText, type DayPartition } from "../domain/partitions.ts";
import type { Database, Db } from "./pool.ts";

/** The tables that are partitioned by day, with the column that says which day. */
export const partitionedTables = {
  alerts: "time",
  alert_hours: "hour",
  alert_totals: "hour",
  alert_actor_hours: "hour",
  rates: "minute",
} as const;
export type PartitionedTable = keyof typeof partitionedTables;

/** The names of a table's partitions, without the default one. */
export async function listPartitions(db: Db, table: PartitionedTable): Promise<readonly string[]> {
  const { rows } = await db.execute<{ name: string }>(sql`
    select child.relname as name
    from pg_inherits join pg_class child on child.oid = inhrelid
    where inhparent = ${table}::regclass and child.relname <> ${`${table}_default`}
    order by child.relname`);
  return rows.map((row) => row.name);
}

/** How long all that are to add rows wait at most for those that read the default partition: days are made ahead, so that other tries come. */
const readersMsMax = 500;

/**
 * Adds the partition of a day. Rows of that day that came before it and wait in the default partition move along, all
 * in one transaction. Safe when several servers try at once: who comes later finds it there. Fails when the default partition is read
 * for longer than `waitMs`.
 */
export async function createPartition(
  db: Database,
  table: PartitionedTable,
  { name, day }: DayPartition,
  waitMs = readersMsMax,
): Promise<void> {
  const column = sql.identifier(partitionedTables[table]);
  const [parent, child, rest] = [table, name, `${table}_default`].map((each) => sql.identifier(each));
  const from = sql.raw(`'${dayText(day)} 00:00:00+00'`);
  const to = sql.raw(`'${dayText(day + 1)} 00:00:00+00'`);
  await db.transaction(async (tx) => {
    await tx.execute(sql`set local lock_timeout = '5s'`);
    await tx.execute(sql`select pg_advisory_xact_lock(hashtext('falconry partitions'))`);
    const { rows } = await tx.execute(sql`select 1 from pg_class where oid = to_regclass(${name})`);
    if (rows.length > 0) return;
    // Whoever adds rows finds its partitions when it has this lock. One that found them before, and then waits for the rows of the day
    // to move, would come to a partition that takes this day no more, and fail; so all wait here, and find the new one.
    await tx.execute(sql`lock table only ${parent} in share row exclusive mode`);
    await tx.execute(sql`create table ${child} (like ${parent} including defaults including constraints)`);
    // Readers wait for the blink in which rows move. Behind a long one nobody could add rows to any day, so that this is given up first.
    await tx.execute(sql.raw(`set local lock_timeout = ${waitMs}`));
    // Readers, too, find the partitions first: one that found them and then waits for the default one would come to it when its rows have
    // moved, and find them in neither. They wait before that, but only where there is something to move.
    const { rows: early } = await tx.execute(
      sql`select 1 from ${rest} where ${column} >= ${from} and ${column} < ${to} limit 1`,
    );
    if (early.length > 0) await tx.execute(sql`lock table only ${parent} in access exclusive mode`);
    await tx.execute(sql`lock table ${rest} in access exclusive mode`);
    await tx.execute(sql`
      with moved as (delete from ${rest} where ${column} >= ${from} and ${column} < ${to} returning *)
      insert into ${child} select * from moved`);
    await tx.execute(
      sql`alter table ${parent} attach partition ${child} for values from (${from}) to (${to})`,
    );
  });
}

export async function dropPartition(db: Database, { name }: DayPartition): Promise<void> {
  await db.transaction(async (tx) => {
    // Dropping locks the whole table for a blink; behind a long query it is better to come back later.
    await tx.execute(sql`set local lock_timeout = '5s'`);
    await tx.execute(sql`drop table if exists ${sql.identifier(name)}`);
  });
}

/**
 * Removes what is too old and lies in no day's partition. Alerts and their counts go by when they arrived: a replayed log brings events
 * of long ago that nobody has seen yet.
 */
export async function removeOldRest(db: Db, table: PartitionedTable, before: Date): Promise<number> {
  const column = sql.identifier(table === "rates" ? "minute" : "received_at");
  const rest = sql.identifier(`${table}_default`);
  const gone = await db.execute(
    sql`delete from ${rest} where ${column} < ${before.toISOString()}::timestamptz`,
  );
  return gone.rowCount ?? 0;
}
