import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { createAuditRecordReader } from "./audit-record-reader.ts";
import {
  cwdLine,
  endLine,
  execve,
  execveLine,
  head,
  inetAddress,
  pathLine,
  syscallLine,
  titleLine,
} from "./sample-records.ts";
import type { SyscallEvent } from "./syscall-event.ts";

function readAll(lines: readonly string[], options = {}): { events: SyscallEvent[]; problems: string[] } {
  const reader = createAuditRecordReader(options);
  const all = [...lines.map((line) => reader.read(line)), reader.flush()];
  return { events: all.flatMap(({ events }) => events), problems: all.flatMap(({ problems }) => problems) };
}

function one(lines: readonly string[], options = {}): SyscallEvent {
  const { events, problems } = readAll(lines, options);
  assert.deepEqual(problems, []);
  assert.equal(events.length, 1);
  return events[0]!;
}

const argument = ({ args }: SyscallEvent, name: string): string | undefined =>
  args.find((each) => each.name === name)?.text;

test("a program's start is told with its whole command line, hexadecimal words and all", () => {
  const event = one(execve({ serial: 1, words: ["sh", "-c", 'echo "é" > /tmp/x'], pid: 77, ppid: 76 }));
  assert.equal(event.type, "execve");
  assert.equal(event.timeNs, 1_700_000_000_001_000_000n);
  assert.deepEqual(event.process.args, ["-c", 'echo "é" > /tmp/x']);
  assert.deepEqual(
    [event.process.name, event.process.exe, event.process.exePath],
    ["sh", "sh", "/usr/bin/sh"],
  );
  assert.deepEqual([event.process.pid, event.process.ppid, event.cwd], [77n, 76n, "/root"]);
  assert.equal(event.tty, 34_816n);
});

test("records of two events that arrive in turns are not mixed up", () => {
  const a = execve({ serial: 10, words: ["ls", "/a"], pid: 1 });
  const b = execve({ serial: 11, words: ["cat", "/b"], pid: 2 });
  const { events, problems } = readAll(a.flatMap((line, i) => [line, b[i] ?? ""]));
  assert.deepEqual(problems, []);
  assert.deepEqual(
    events.map(({ process }) => [process.pid, process.name, process.args]),
    [
      [1n, "ls", ["/a"]],
      [2n, "cat", ["/b"]],
    ],
  );
});

test("an event whose records come in any order is the same event", () => {
  const lines = execve({ serial: 5, words: ["wget", "-q", "http://x/y"] });
  const wanted = one(lines);
  fc.assert(
    fc.property(fc.shuffledSubarray(lines.slice(0, -1), { minLength: lines.length - 1 }), (shuffled) => {
      assert.deepEqual(one([...shuffled, ...lines.slice(-1)]), wanted);
      assert.deepEqual(
        one([...shuffled.slice(1), ...shuffled.slice(0, 1), ...lines.slice(-1), endLine(5)]),
        wanted,
      );
    }),
  );
});

test("an event ends at once with EOE, and without it when its title and all paths are there", () => {
  const reader = createAuditRecordReader();
  const lines = execve({ serial: 5, words: ["id"] });
  const given = lines.map((line) => reader.read(line).events.length);
  assert.deepEqual(given, [0, 0, 0, 0, 0, 1]);
  const open = [syscallLine({ serial: 6, syscall: 105, a: ["0", "0", "0", "0"] }), endLine(6)];
  assert.deepEqual(
    open.map((line) => reader.read(line).events.length),
    [0, 1],
  );
  assert.deepEqual(reader.read(endLine(6)), { events: [], problems: [] });
});

test("an event without an end is given once enough later ones have begun, and no later than at a flush", () => {
  const reader = createAuditRecordReader();
  let given = 0;
  for (let serial = 1; serial <= 40; serial++) {
    given += reader.read(syscallLine({ serial, syscall: 105 })).events.length;
  }
  assert.equal(given, 24);
  assert.equal(reader.flush().events.length, 16);
});

test("a record that comes after its event has been given is reported, not taken for a new event", () => {
  const lines = execve({ serial: 5, words: ["id"] });
  const { events, problems } = readAll([...lines, cwdLine(5, "/late")]);
  assert.equal(events.length, 1);
  assert.match(problems.join(), /CWD record of event 1700000000.005:5 came after/);
});

test("long commands spread over records and pieces keep their words apart", () => {
  const event = one([
    syscallLine({ serial: 9, syscall: 59, comm: "curl", exe: "/usr/bin/curl" }),
    `${head("EXECVE", 9)}argc=4 a0="curl" a1_len=10 a1[0]="abcde"`,
    `${head("EXECVE", 9)}a1[1]="fghij" a3="end"`,
    endLine(9),
  ]);
  assert.deepEqual(event.process.args, ["abcdefghij", "", "end"]);
});

test("opening a file tells its full path, flags and mode, relative to where the process is", () => {
  const event = one([
    syscallLine({ serial: 3, syscall: 257, exit: 5, a: ["ffffff9c", "7ffd", "241", "1b6"], items: 2 }),
    cwdLine(3, "/var/www"),
    pathLine(3, 0, "../tmp/", "PARENT"),
    pathLine(3, 1, "../tmp/./x.php", "CREATE", "inode=8 dev=fe:01 mode=0100755 ouid=33 ogid=33 rdev=00:00"),
    titleLine(3, ["bash"]),
  ]);
  assert.equal(event.type, "openat");
  assert.deepEqual([event.fd?.name, event.fd?.nameRaw], ["/var/tmp/x.php", "../tmp/./x.php"]);
  assert.deepEqual([event.fd?.number, event.fd?.type, event.fd?.inode], [5n, "file", 8n]);
  assert.deepEqual(event.open, { isRead: false, isWrite: true, isCreate: true, isExec: true });
  assert.deepEqual(
    ["fd", "dirfd", "name", "flags", "mode"].map((name) => argument(event, name)),
    ["<f>/var/tmp/x.php", "AT_FDCWD", "/var/tmp/x.php", "O_TRUNC|O_CREAT|O_WRONLY", "0666"],
  );
});

test("a path below a descriptor is not guessed at, unless the kernel names the same directory", () => {
  const openDirectory = [
    syscallLine({ serial: 1, syscall: 257, exit: 7, a: ["ffffff9c", "1", "90000", "0"], items: 1 }),
    cwdLine(1, "/"),
    pathLine(1, 0, "/etc/ssh", "NORMAL", "inode=55 dev=fe:01 mode=040755 ouid=0 ogid=0 rdev=00:00"),
    titleLine(1, ["bash"]),
  ];
  const unlinkBelow = (serial: number, parentInode: number): string[] => [
    syscallLine({ serial, syscall: 263, a: ["7", "1", "0", "0"], items: 2 }),
    cwdLine(serial, "/"),
    pathLine(serial, 0, "", "PARENT", `inode=${parentInode} dev=fe:01 mode=040755 ouid=0 ogid=0 rdev=00:00`),
    pathLine(serial, 1, "sshd_config", "DELETE"),
    titleLine(serial, ["bash"]),
  ];
  const { events } = readAll([...openDirectory, ...unlinkBelow(2, 55), ...unlinkBelow(3, 56)]);
  assert.deepEqual(
    events.map(({ type, path }) => [type, path?.full, path?.raw]),
    [
      ["openat", "/etc/ssh", "/etc/ssh"],
      ["unlinkat", "/etc/ssh/sshd_config", "sshd_config"],
      ["unlinkat", undefined, "sshd_config"],
    ],
  );
  assert.equal(events[0]?.fd?.type, "directory");
});

test("a rename tells both names, also when it replaces a file", () => {
  const event = one([
    syscallLine({ serial: 2, syscall: 82, items: 5 }),
    cwdLine(2, "/tmp"),
    pathLine(2, 0, "/tmp", "PARENT"),
    pathLine(2, 1, "/usr/bin/", "PARENT"),
    pathLine(2, 2, "evil", "DELETE"),
    pathLine(2, 3, "/usr/bin/ls", "DELETE"),
    pathLine(2, 4, "/usr/bin/ls", "CREATE"),
    titleLine(2, ["mv"]),
  ]);
  assert.deepEqual([event.source?.full, event.target?.full], ["/tmp/evil", "/usr/bin/ls"]);
  assert.deepEqual([argument(event, "oldpath"), argument(event, "newpath")], ["/tmp/evil", "/usr/bin/ls"]);
});

test("a connection tells where to, and over what when the making of the socket was seen", () => {
  const socket = [syscallLine({ serial: 1, syscall: 41, exit: 3, a: ["2", "80801", "6", "0"] }), endLine(1)];
  const connect = [
    syscallLine({ serial: 2, syscall: 42, exit: -115, a: ["3", "7f", "10", "0"] }),
    `${head("SOCKADDR", 2)}saddr=${inetAddress("10.1.2.3", 4444)}\u001dSADDR={ saddr_fam=inet laddr=9.9.9.9 lport=1 }`,
    titleLine(2, ["bash"]),
  ];
  const [, seen] = readAll([...socket, ...connect]).events;
  assert.deepEqual(
    [seen?.fd?.type, seen?.fd?.serverIp, seen?.fd?.serverPort, seen?.fd?.l4proto, seen?.fd?.name],
    ["ipv4", "10.1.2.3", 4444n, "tcp", "->10.1.2.3:4444"],
  );
  assert.deepEqual([argument(seen!, "res"), seen?.isFailed], ["EINPROGRESS", true]);
  assert.equal(one(connect).fd?.l4proto, undefined);
});

test("an accepted connection tells who called, and on which port when the bind was seen", () => {
  const address = (serial: number, ip: string, port: number): string =>
    `${head("SOCKADDR", serial)}saddr=${inetAddress(ip, port)}`;
  const { events } = readAll([
    syscallLine({ serial: 1, syscall: 41, exit: 3, a: ["2", "1", "0", "0"] }),
    endLine(1),
    syscallLine({ serial: 2, syscall: 49, a: ["3", "0", "10", "0"] }),
    address(2, "0.0.0.0", 22),
    endLine(2),
    syscallLine({ serial: 3, syscall: 50, a: ["3", "80", "0", "0"] }),
    endLine(3),
    syscallLine({ serial: 4, syscall: 288, exit: 5, a: ["3", "0", "0", "0"] }),
    address(4, "198.51.100.7", 50_000),
    endLine(4),
  ]);
  const [, bind, listen, accept] = events.map(({ fd }) => fd);
  assert.deepEqual([bind?.name, bind?.isServer, listen?.name], ["0.0.0.0:22", true, "0.0.0.0:22"]);
  assert.deepEqual(
    [accept?.clientIp, accept?.clientPort, accept?.serverIp, accept?.serverPort, accept?.l4proto],
    ["198.51.100.7", 50_000n, undefined, 22n, "tcp"],
  );
});

test("addresses of IPv6 and of unix sockets are read", () => {
  const connectTo = (saddr: string): SyscallEvent =>
    one([
      syscallLine({ serial: 2, syscall: 42, a: ["3", "7f", "1c", "0"] }),
      `${head("SOCKADDR", 2)}saddr=${saddr}`,
      endLine(2),
    ]);
  const six = connectTo("0A0001BB0000000020010DB80000000000000000000000010000000000000000".slice(0, 56));
  assert.deepEqual([six.fd?.type, six.fd?.serverIp, six.fd?.serverPort], ["ipv6", "2001:db8::1", 443n]);
  const short = connectTo(`0A0001BB00000000${"00".repeat(12)}0102030400000000`);
  assert.equal(short.fd?.serverIp, "::1.2.3.4");
  const unix = connectTo("01002F72756E2F646F636B65722E736F636B00");
  assert.deepEqual([unix.fd?.type, unix.fd?.name], ["unix", "/run/docker.sock"]);
});

test("numbers of calls are read by machine: on aarch64 56 is openat, on x86_64 it is clone", () => {
  const typeOf = (arch: string): string =>
    one([syscallLine({ serial: 2, syscall: 56, arch, a: ["ffffff9c", "0", "4000", "0"] }), endLine(2)]).type;
  assert.deepEqual([typeOf("c00000b7"), typeOf("c000003e")], ["openat", "clone"]);
  const { events, problems } = readAll([
    syscallLine({ serial: 2, syscall: 5, arch: "40000003" }),
    endLine(2),
  ]);
  assert.equal(events.length, 0);
  assert.match(problems.join(), /system call 5 of machine 40000003 is not known/);
});

test("names come from enriched records, else from what the caller knows, and are never made up", () => {
  const lines = (enriched?: string): string[] => [
    syscallLine({ serial: 2, syscall: 105, euid: 33, ...(enriched === undefined ? {} : { enriched }) }),
    endLine(2),
  ];
  const told = one(lines('ARCH=x86_64 SYSCALL=setuid AUID="kim" UID="www-data" EUID="www-data" EGID="root"'));
  assert.deepEqual([told.user.name, told.loginUser.name, told.group.name], ["www-data", "kim", "root"]);
  const known = one(lines(), { users: new Map([[33, "web"]]) });
  assert.deepEqual([known.user.name, known.loginUser.name], ["web", undefined]);
  assert.equal(one(lines()).user.name, undefined);
});

test("a process keeps its command line until another program runs under its number", () => {
  const open = (serial: number, exe: string, title: readonly string[]): string[] => [
    syscallLine({ serial, syscall: 2, exit: -2, items: 1, pid: 50, comm: "python3", exe }),
    pathLine(serial, 0, "/etc/shadow", "NORMAL"),
    titleLine(serial, title),
  ];
  const python = "/usr/bin/python3";
  const { events } = readAll([
    ...execve({ serial: 1, words: ["python3", "run.py", "x".repeat(200)], pid: 50 }),
    ...open(2, python, ["python3", "run.py", "x".repeat(100)]),
    ...open(3, python, ["python3", "other.py"]),
  ]);
  assert.deepEqual(
    events.map(({ process }) => process.args?.map((word) => word.length)),
    [[6, 200], [6, 200], [8]],
  );
});

test("ancestors are those whose own events were seen", () => {
  const { events } = readAll([
    ...execve({ serial: 1, words: ["sshd"], pid: 10, ppid: 1 }),
    ...execve({ serial: 2, words: ["bash", "-l"], pid: 11, ppid: 10 }),
    ...execve({ serial: 3, words: ["nc", "-e", "sh"], pid: 12, ppid: 11 }),
  ]);
  assert.deepEqual(
    events[2]?.ancestors.map(({ name }) => name),
    ["bash", "sshd"],
  );
});

test("text inside of values can not pass for further values", () => {
  const event = one([
    syscallLine({ serial: 1, syscall: 59, comm: "x pid=1 euid=0", exe: "/tmp/a pid=1" }),
    execveLine(1, ["x", "success=no exit=-1", '" a2="'] as const),
    endLine(1),
  ]);
  assert.deepEqual([event.process.pid, event.process.name], [4242n, "x pid=1 euid=0"]);
  assert.deepEqual(event.process.args, ["success=no exit=-1", '" a2="']);
});

test("the kernel's own log lines, with numbers for types, are read too", () => {
  const event = one([
    '[  12.345] audit: type=1300 audit(1700000000.001:7): arch=c000003e syscall=87 success=yes exit=0 a0=1 a1=0 a2=0 a3=0 items=2 ppid=1 pid=9 auid=4294967295 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=4294967295 comm="rm" exe="/bin/rm" key=(null)',
    'audit: type=1307 audit(1700000000.001:7): cwd="/"',
    'audit: type=1302 audit(1700000000.001:7): item=0 name="/var/log/" inode=1 dev=fe:01 mode=040755 nametype=PARENT',
    'audit: type=1302 audit(1700000000.001:7): item=1 name="/var/log/auth.log" inode=2 dev=fe:01 mode=0100640 nametype=DELETE',
    "audit: type=1327 audit(1700000000.001:7): proctitle=726D002F7661722F6C6F672F617574682E6C6F67",
  ]);
  assert.deepEqual([event.type, event.path?.full, event.tty], ["unlink", "/var/log/auth.log", 0n]);
  assert.deepEqual([event.loginUser.id, event.process.args], [undefined, ["/var/log/auth.log"]]);
});

test("other lines are refused by name, and other records passed over", () => {
  const { events, problems } = readAll([
    "",
    "----",
    'type=USER_LOGIN msg=audit(1700000000.1:7): pid=1 uid=0 msg=\'op=login acct="x" exe="/x" res=success\'',
    'type=USER_LOGIN msg=audit(1700000000.100:7): pid=1 uid=0 msg=\'op=login acct="x" exe="/x" res=success\'',
    '{"kind":"Event"}',
    cwdLine(8, "/"),
  ]);
  assert.equal(events.length, 0);
  assert.equal(problems.length, 3);
  assert.match(problems[0] ?? "", /not a Linux audit record: 'type=USER_LOGIN msg=audit\(1700000000.1:7/);
  assert.match(problems[2] ?? "", /event 1700000000.008:8 has no SYSCALL record/);
});

test("reading never throws and stays bounded, whatever the lines", () => {
  const key = fc.constantFrom(
    "arch",
    "syscall",
    "pid",
    "a0",
    "a1[0]",
    "argc",
    "items",
    "saddr",
    "name",
    "dev",
    "mode",
    "exit",
    "proctitle",
    "tty",
    "oflag",
  );
  const value = fc.oneof(
    fc.string({ maxLength: 20, unit: "binary" }),
    fc.constantFrom(
      "c000003e",
      "59",
      "42",
      "257",
      "437",
      "99999999999999999999999999",
      "-1",
      '"',
      "'",
      "{",
      "}",
      "0200",
      "0A00",
      "(null)",
      "fe:01",
    ),
  );
  const pairs = fc.array(fc.tuple(key, value), { maxLength: 12 });
  const type = fc.constantFrom(
    "SYSCALL",
    "EXECVE",
    "PATH",
    "CWD",
    "SOCKADDR",
    "PROCTITLE",
    "OPENAT2",
    "EOE",
    "1300",
    "X",
  );
  const line = fc.oneof(
    {
      weight: 8,
      arbitrary: fc
        .tuple(type, fc.integer({ min: 0, max: 30 }), pairs)
        .map(([name, serial, all]) => head(name, serial) + all.map(([k, v]) => `${k}=${v}`).join(" ")),
    },
    { weight: 1, arbitrary: fc.string({ maxLength: 60, unit: "binary" }) },
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 60 }), (lines) => {
      const { events } = readAll(lines);
      assert.ok(events.length <= lines.length);
      for (const { args, process } of events) {
        assert.ok(args.length < 20 && (process.args?.length ?? 0) <= 1024);
      }
    }),
    { numRuns: 300 },
  );
});

test("an event can not grow without end", () => {
  const reader = createAuditRecordReader();
  const problems: string[] = [];
  for (let i = 0; i < 5000; i++) {
    problems.push(...reader.read(pathLine(1, i, `/${"x".repeat(4000)}`, "NORMAL")).problems);
  }
  assert.deepEqual(problems, ["event 1700000000.001:1 has too many records: the rest is left out"]);
});
