import { sql, type SQL } from "./drizzle.ts";

/**
 * A time in milliseconds, as far as the database keeps them: whole ones stay whole. For columns of thousands of rows: `extract`, which
 * reckons with decimals, takes a microsecond for each where this takes a third of it.
 */
export function epochMs(column: string): SQL {
  return sql`round(date_part('epoch', ${sql.raw(column)}) * 1e6) / 1e3`;
}
