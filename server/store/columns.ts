import { bigint, customType, jsonb, sql, timestamp, type SQL } from "./drizzle.ts";

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

/** The next number of the change counter, for `changed` columns on insert and on update. */
export function nextChange(): SQL<bigint> {
  return sql<bigint>`nextval('change_seq')`;
}
