import assert from "node:assert/strict";
import { test } from "node:test";
import { createAuditRecordReader } from "./audit-record-reader.ts";
import { cwdLine, endLine, execve, head, pathLine, syscallLine } from "./sample-records.ts";
import type { SyscallEvent } from "./syscall-event.ts";

function readAll(lines: readonly string[]): readonly SyscallEvent[] {
  const reader = createAuditRecordReader();
  return [...lines.map((line) => reader.read(line)), reader.flush()].flatMap(({ events }) => events);
}

function one(lines: readonly string[]): SyscallEvent {
  const [event] = readAll(lines);
  assert.ok(event !== undefined);
  return event;
}

test("an IPv4 address behind an IPv6 socket is no way around rules about that address", () => {
  const events = readAll([
    syscallLine({ serial: 1, syscall: 41, exit: 3, a: ["a", "1", "0", "0"] }),
    endLine(1),
    syscallLine({ serial: 2, syscall: 42, a: ["3", "7f", "1c", "0"] }),
    `${head("SOCKADDR", 2)}saddr=0A00005000000000${"00".repeat(10)}FFFFA9FEA9FE00000000`,
    endLine(2),
  ]);
  const fd = events[1]?.fd;
  assert.deepEqual(
    [fd?.type, fd?.serverIp, fd?.name, fd?.l4proto],
    ["ipv4", "169.254.169.254", "->169.254.169.254:80", "tcp"],
  );
});

test("names that look like the kernel's words for nothing are names when they stand in quotes", () => {
  const line = syscallLine({ serial: 2, syscall: 2, items: 1, comm: "?", exe: "(null)" });
  const event = one([line, pathLine(2, 0, "(null)", "NORMAL"), cwdLine(2, "/etc"), endLine(2)]);
  assert.deepEqual(
    [event.process.name, event.process.exePath, event.path?.full],
    ["?", "(null)", "/etc/(null)"],
  );
  assert.equal(one([line.replace('comm="?"', 'comm=""'), endLine(2)]).process.name, "");
  const bare = line.replace('exe="(null)"', "exe=(null)");
  const without = one([bare, pathLine(2, 0, "x", "NORMAL").replace('"x"', "(null)"), endLine(2)]);
  assert.deepEqual([without.process.exePath, without.path], [undefined, undefined]);
});

test("many empty words do not push what stands behind them out of sight", () => {
  const words = ["sh", ...Array.from({ length: 700 }, () => ""), "-c", "id"];
  const event = one(execve({ serial: 3, words, pid: 9 }));
  assert.deepEqual(event.process.args?.slice(-2), ["-c", "id"]);
});
