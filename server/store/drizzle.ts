import { createRequire } from "node:module";
import type * as core from "drizzle-orm";
import type * as nodePostgres from "drizzle-orm/node-postgres";
import type * as pgCore from "drizzle-orm/pg-core";

/**
 * The door to drizzle, for all of the server. Its CommonJS files are loaded on purpose: with ES modules Node reads the 175 KB of
 * drizzle's package.json again for each of its hundred files, to learn what kind of file that is, which made up most of the start of every
 * process with a database. The extension `.cjs` says so by itself.
 */
const load = createRequire(import.meta.url);

export const {
  and,
  asc,
  count,
  countDistinct,
  desc,
  eq,
  getTableColumns,
  getTableName,
  gt,
  gte,
  inArray,
  is,
  isNotNull,
  isNull,
  lt,
  lte,
  notInArray,
  or,
  sql,
} = load("drizzle-orm") as typeof core;

export const {
  bigint,
  boolean,
  customType,
  getTableConfig,
  integer,
  jsonb,
  PgTable,
  pgTable,
  primaryKey,
  smallint,
  text,
  timestamp,
} = load("drizzle-orm/pg-core") as typeof pgCore;

export const { drizzle } = load("drizzle-orm/node-postgres") as typeof nodePostgres;

export type { AnyColumn, SQL } from "drizzle-orm";
export type { NodePgDatabase } from "drizzle-orm/node-postgres";
