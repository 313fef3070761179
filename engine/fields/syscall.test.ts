import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { JsonTape } from "../json/tape.ts";
import { createAuditRecordReader } from "../linux-audit/audit-record-reader.ts";
import { eventSpecs } from "../linux-audit/event-specs.ts";
import { cwdLine, endLine, head, pathLine, syscallLine } from "../linux-audit/sample-records.ts";
import { syscallsX8664 } from "../linux-audit/syscall-numbers.ts";
import type { EventView, FieldType, FieldValue, Scalar } from "./field.ts";
import { bindField, fieldClasses } from "./registry.ts";

const fields = fieldClasses
  .filter(({ sources }) => sources?.includes("syscall"))
  .flatMap((each) => each.fields);
const texts: ReadonlySet<FieldType> = new Set(["CHARBUF", "IPADDR", "IPNET"]);

function isScalar(type: FieldType, value: Scalar): boolean {
  if (texts.has(type)) return typeof value === "string";
  return typeof value === (type === "BOOL" ? "boolean" : "bigint");
}

function fits(type: FieldType, value: FieldValue): boolean {
  if (value === undefined) return true;
  return Array.isArray(value) ? value.every((one) => isScalar(type, one)) : isScalar(type, value as Scalar);
}

const number = fc.constantFrom(
  ...[...syscallsX8664].filter(([, name]) => eventSpecs.has(name)).map(([key]) => key),
  39,
);
const register = fc.constantFrom("0", "3", "ffffff9c", "ffffffffffffffff", "241", "10", "7ffe12345678", "2");
const saddr = fc.constantFrom("02000016C6336407", "0A", "01002F72756E", "02000050010203040000", "zz", "1100");

const event = fc.record({
  number,
  exit: fc.constantFrom(0, 3, -2, -115, 9_000_000_000),
  a: fc.tuple(register, register, register, register),
  roles: fc.array(fc.constantFrom("PARENT", "NORMAL", "CREATE", "DELETE", "UNKNOWN"), { maxLength: 4 }),
  name: fc.constantFrom("/a/b", "x", "", "../..", "/"),
  saddr,
});

test("every field of a system call gives what its type says, or nothing where the event can not carry it", () => {
  const tape = new JsonTape();
  const root = tape.parse("{}");
  const reader = createAuditRecordReader();
  let serial = 0;
  const carried = new Set<string>();
  fc.assert(
    fc.property(event, ({ number: syscall, exit, a, roles, name, saddr: address }) => {
      serial++;
      const lines = [
        syscallLine({
          serial,
          syscall,
          exit,
          a,
          items: roles.length,
          pid: 1 + (serial % 5),
          ppid: serial % 3,
        }),
        cwdLine(serial, "/w"),
        ...roles.map((role, i) => pathLine(serial, i, name, role)),
        `${head("SOCKADDR", serial)}saddr=${address}`,
        endLine(serial),
      ];
      const [call] = lines.flatMap((line) => reader.read(line).events);
      assert.ok(call !== undefined);
      const view = { tape, root, isAudit: false, timeNs: call.timeNs, syscall: call } as unknown as EventView;
      for (const { name: field, argument: rule, type, carriedBy } of fields) {
        const argument = rule === "none" || rule === "index-optional" ? undefined : "fd";
        const outcome = bindField(field, argument, "fixed");
        assert.ok(outcome.ok, field);
        const value = outcome.field.extract(view);
        assert.ok(fits(type, value), `${field} of ${call.type} is ${String(value)}`);
        if (value === undefined || (Array.isArray(value) && value.length === 0)) continue;
        carried.add(field);
        assert.ok(
          carriedBy?.(call.type, argument) ?? true,
          `${call.type} has ${field}, which is said not to be`,
        );
      }
    }),
    { numRuns: 2000, seed: 1 },
  );
  const never = fields.filter(({ name, unavailable }) => unavailable === undefined && !carried.has(name));
  // Commands come from other records, and names of groups only from enriched ones but for root's.
  assert.deepEqual(
    never.map(({ name }) => name).filter((name) => !/^proc\.|^user\.loginname$/.test(name)),
    [],
  );
});
