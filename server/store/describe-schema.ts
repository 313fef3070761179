import type { Client, Pool } from "pg";

interface Table {
  readonly name: string;
  readonly partition: string | null;
}

interface Part {
  readonly table: string;
  readonly text: string;
}

/**
 * The schema of a database as text, in an order that does not depend on how it came about: what `migrations/schema.sql`
 * holds, so that a review shows what a migration does to the whole. Not a script to run: migrations are.
 */
export async function describeSchema(client: Client | Pool): Promise<string> {
  const { rows: tables } = await client.query<Table>(tablesQuery);
  const { rows: columns } = await client.query<Part>(columnsQuery);
  const { rows: constraints } = await client.query<Part>(constraintsQuery);
  const { rows: indexes } = await client.query<Part>(indexesQuery);
  const { rows: sequences } = await client.query<{ text: string }>(sequencesQuery);
  const { rows: triggers } = await client.query<Part>(triggersQuery);
  const { rows: functions } = await client.query<{ text: string }>(functionsQuery);
  const of = (parts: readonly Part[], table: Table) => parts.filter((part) => part.table === table.name);
  const blocks = tables.map((table) => {
    const lines = [...of(columns, table), ...of(constraints, table)].map((part) => `  ${part.text}`);
    const head = `create table ${table.name} (\n${lines.join(",\n")}\n)`;
    const body = [`${head}${table.partition === null ? "" : ` partition by ${table.partition}`};`];
    const after = [...of(indexes, table), ...of(triggers, table)];
    return [...body, ...after.map((part) => `${part.text};`)].join("\n");
  });
  const before = [...sequences, ...functions].map(({ text }) => text);
  return `${[...before, ...blocks].join("\n\n")}\n`;
}

/** Tables of ours; the partitions that come and go with the days are not schema. */
const ours = `c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
  and c.relname !~ '_[0-9]{8}$'`;

const tablesQuery = `
  select c.relname as name,
    coalesce(lower(pg_get_partkeydef(c.oid)), 'of ' || (select i.inhparent::regclass::text from pg_inherits i
      where i.inhrelid = c.oid) || ' ' || lower(pg_get_expr(c.relpartbound, c.oid))) as partition
  from pg_class c where ${ours} order by c.relname`;

const columnsQuery = `
  select c.relname as table, a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
    || case when a.attnotnull then ' not null' else '' end
    || case a.attidentity when 'a' then ' generated always as identity' else '' end
    || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '') as text
  from pg_class c
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
  where ${ours} order by c.relname, a.attnum`;

// Newer servers also store "not null" as constraints, which stand with their columns already.
const constraintsQuery = `
  select c.relname as table, 'constraint ' || k.conname || ' ' || lower(pg_get_constraintdef(k.oid)) as text
  from pg_class c join pg_constraint k on k.conrelid = c.oid and k.contype <> 'n'
  where ${ours} order by c.relname, k.contype desc, k.conname`;

const indexesQuery = `
  select c.relname as table, lower(pg_get_indexdef(i.indexrelid)) as text
  from pg_class c join pg_index i on i.indrelid = c.oid
  where ${ours} and not exists (select from pg_constraint k where k.conindid = i.indexrelid)
  order by c.relname, i.indexrelid::regclass::text`;

const sequencesQuery = `
  select 'create sequence ' || c.relname || ';' as text
  from pg_class c
  where c.relnamespace = 'public'::regnamespace and c.relkind = 'S'
    and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'i')
  order by c.relname`;

const triggersQuery = `
  select c.relname as table, lower(pg_get_triggerdef(t.oid)) as text
  from pg_class c join pg_trigger t on t.tgrelid = c.oid and not t.tgisinternal
  where ${ours} order by c.relname, t.tgname`;

const functionsQuery = `
  select 'create function ' || p.proname || '(); -- its text stands in the migration' as text
  from pg_proc p where p.pronamespace = 'public'::regnamespace order by p.proname`;
