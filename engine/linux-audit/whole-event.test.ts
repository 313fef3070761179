import assert from "node:assert/strict";
import { test } from "node:test";
import { createAuditRecordReader } from "./audit-record-reader.ts";
import { cwdLine, endLine, execve, head } from "./sample-records.ts";

test("an event that comes as a whole is read as it would be line by line, and again when it comes again", () => {
  const lines = execve({ serial: 1, words: ["sh", "-c", "id"], pid: 77, ppid: 76 });
  const reader = createAuditRecordReader();
  const joined = createAuditRecordReader();
  const wanted = lines.flatMap((line) => [...joined.read(line).events]);
  assert.equal(wanted.length, 1);
  for (let time = 0; time < 2; time++) {
    assert.deepEqual(reader.readEvent(lines), { events: wanted, problems: [] });
  }
  // In whatever order its lines are, and with the end that the kernel's own log has.
  const shuffled = [...lines].reverse();
  assert.deepEqual(reader.readEvent([...shuffled, endLine(1)]).problems, []);
});

test("an event of which no line tells the system call is a problem, one that is about none is not", () => {
  const reader = createAuditRecordReader();
  const cut = reader.readEvent([cwdLine(3, "/root")]);
  assert.deepEqual(cut.events, []);
  assert.match(cut.problems.join(), /event 1700000000.003:3 has no SYSCALL record/);
  const login = `${head("USER_LOGIN", 4)}pid=1 uid=0 msg='op=login res=success'`;
  assert.deepEqual(reader.readEvent([login]), { events: [], problems: [] });
});
