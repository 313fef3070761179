import { sql } from "drizzle-orm";

import { dayText, type DayPartition } from "../domain/partitions.ts";
import type { Database, Db } from "./pool.ts";

/** The tables that are partitioned by day, with the column that says which day. */
export const partitionedTables = { alerts: "time", rates: "minute" } as const;
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

/**
 * Adds the partition of a day. Rows of that day that came before it and wait in the default partition move along, all
 * in one transaction. Safe when several servers try at once: who comes later finds it there.
 */
export async function createPartition(
  db: Database,
  table: PartitionedTable,
  { name, day }: DayPartition,
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
    await tx.execute(sql`create table ${child} (like ${parent} including defaults including constraints)`);
    // Nobody may add to the day while its rows move; readers wait for the blink it takes.
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
 * Removes what is too old and lies in no day's partition. Alerts go by when they arrived: a replayed log brings events
 * of long ago that nobody has seen yet.
 */
export async function removeOldRest(db: Db, table: PartitionedTable, before: Date): Promise<number> {
  const column = sql.identifier(table === "alerts" ? "received_at" : "minute");
  const rest = sql.identifier(`${table}_default`);
  const gone = await db.execute(
    sql`delete from ${rest} where ${column} < ${before.toISOString()}::timestamptz`,
  );
  return gone.rowCount ?? 0;
}
