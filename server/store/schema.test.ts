import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";

import { getTableColumns, getTableConfig, getTableName, is, PgTable } from "./drizzle.ts";

import { freshDatabase } from "../../test/support/postgres.ts";
import { describeSchema } from "./describe-schema.ts";
import { migrationsFolder } from "./migrate.ts";
import * as schema from "./schema.ts";

test("migrations/schema.sql shows the schema that the migrations make", async (t) => {
  const db = await freshDatabase(t);
  const text = await describeSchema(db.$client);
  t.assert.fileSnapshot(text, join(migrationsFolder, "schema.sql"), { serializers: [String] });
});

interface Column {
  readonly table: string;
  readonly column: string;
  readonly type: string;
  readonly nullable: boolean;
}

test("the drizzle tables have exactly the tables, columns, types and nulls of the database", async (t) => {
  const db = await freshDatabase(t);
  const { rows } = await db.$client.query<Column>(`
    select table_name as table, column_name as column, is_nullable = 'YES' as nullable,
      case when data_type = 'ARRAY' then substr(udt_name, 2) || '[]' else data_type end as type
    from information_schema.columns
    where table_schema = 'public' and table_name !~ '_(default|[0-9]{8})$'`);
  const mirrored = Object.values(schema)
    .filter((value) => is(value, PgTable))
    .flatMap((table) =>
      Object.values(getTableColumns(table)).map((column) => ({
        table: getTableName(table),
        column: column.name,
        type: column.getSQLType(),
        nullable: !column.notNull,
      })),
    );
  const line = ({ table, column, type, nullable }: Column) =>
    `${table}.${column} ${type}${nullable ? " null" : ""}`;
  assert.ok(mirrored.length > 100, "the comparison must not pass because it saw nothing");
  assert.deepEqual(mirrored.map(line).sort(), rows.map(line).sort());
});

test("the drizzle tables have the primary keys of the database", async (t) => {
  const db = await freshDatabase(t);
  const { rows } = await db.$client.query<{ table: string; columns: string }>(`
    select c.conrelid::regclass::text as table, string_agg(a.attname, ',' order by a.attname) as columns
    from pg_constraint c join pg_attribute a on a.attrelid = c.conrelid and a.attnum = any(c.conkey)
    where c.contype = 'p' and c.connamespace = 'public'::regnamespace and c.conrelid::regclass::text !~ '_default$'
    group by c.conrelid`);
  const mirrored = Object.values(schema)
    .filter((value) => is(value, PgTable))
    .map((table) => {
      const { primaryKeys, columns, name } = getTableConfig(table);
      const keys = primaryKeys
        .flatMap((key) => key.columns)
        .concat(columns.filter((column) => column.primary));
      return `${name} ${keys
        .map((column) => column.name)
        .sort()
        .join(",")}`;
    });
  assert.deepEqual(mirrored.sort(), rows.map((row) => `${row.table} ${row.columns}`).sort());
});
