import { bigint, customType, jsonb, timestamp } from "drizzle-orm/pg-core";

import { wholeFleet, type Scope } from "../domain/scope.ts";

/** Bytes, as they are. */
export const bytea = customType<{ data: Uint8Array; driverData: Buffer }>({
  dataType: () => "bytea",
  toDriver: (value) => Buffer.from(value),
});

/** A moment, as a Date. */
export const instant = (name: string) => timestamp(name, { withTimezone: true, mode: "date" });
/** What is stored was read by `parseScope`. */
export const scope = (name: string) => jsonb(name).$type<Scope>().notNull().default(wholeFleet);

/** 64 bits, as a bigint. */
export const int8 = (name: string) => bigint(name, { mode: "bigint" });
