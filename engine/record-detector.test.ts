import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createRecordDetector, loadRules, type LoadReport } from "./index.ts";
import {
  cwdLine,
  endLine,
  execve,
  head,
  inetAddress,
  pathLine,
  syscallLine,
  titleLine,
} from "./linux-audit/sample-records.ts";

interface RuleParts {
  readonly condition: string;
  readonly output?: string;
  readonly [key: string]: unknown;
}

function load(rules: readonly RuleParts[], words: readonly object[] = []): LoadReport {
  const items = rules.map((parts, i) => ({
    rule: `r${i}`,
    desc: "d",
    output: "o",
    priority: "WARNING",
    ...parts,
  }));
  return loadRules([{ name: "rules.yaml", content: JSON.stringify([...words, ...items]) }]);
}

function fired(condition: string, lines: readonly string[], words: readonly object[] = []): boolean {
  const report = load([{ condition }], words);
  assert.deepEqual(report.results[0]?.errors, []);
  assert.equal(report.ruleset.rules.length, 1, JSON.stringify(report.results[0]?.warnings));
  const detector = createRecordDetector(report.ruleset, { hostname: "h" });
  const all = [...lines.map((line) => detector.detect(line)), detector.flush()];
  assert.deepEqual(
    all.flatMap(({ problems }) => problems),
    [],
  );
  return all.some(({ alerts }) => alerts.length > 0);
}

const shell = execve({ serial: 1, words: ["bash", "-i"], pid: 11, ppid: 10, cwd: "/home/kim" });
const readShadow = [
  syscallLine({
    serial: 2,
    syscall: 257,
    exit: 3,
    a: ["ffffff9c", "0", "80000", "0"],
    items: 1,
    comm: "cat",
    exe: "/usr/bin/cat",
  }),
  cwdLine(2, "/root"),
  pathLine(2, 0, "/etc/shadow", "NORMAL"),
  titleLine(2, ["cat", "/etc/shadow"]),
];
const connectOut = [
  syscallLine({
    serial: 3,
    syscall: 42,
    exit: -115,
    a: ["3", "0", "10", "0"],
    comm: "nc",
    exe: "/usr/bin/nc",
  }),
  `${head("SOCKADDR", 3)}saddr=${inetAddress("203.0.113.9", 4444)}`,
  titleLine(3, ["nc", "203.0.113.9", "4444"]),
];
const makeExecutable = [
  syscallLine({
    serial: 4,
    syscall: 268,
    a: ["ffffff9c", "0", "1ed", "0"],
    items: 1,
    comm: "chmod",
    exe: "/usr/bin/chmod",
  }),
  cwdLine(4, "/dev/shm"),
  pathLine(4, 0, "x", "NORMAL"),
  titleLine(4, ["chmod", "755", "x"]),
];

const matching: readonly [string, string, readonly string[]][] = [
  ["a spawned process", "evt.type in (execve, execveat) and evt.dir = < and proc.name = bash", shell],
  [
    "its command line",
    'proc.cmdline = "bash -i" and proc.args = -i and proc.exe = bash and evt.type = execve',
    shell,
  ],
  ["its terminal and directory", "evt.type = execve and proc.tty != 0 and proc.cwd = /home/kim/", shell],
  ["its user", "evt.type = execve and user.uid = 0 and user.name = root and user.loginuid = 1000", shell],
  ["an argument by name", "evt.type = execve and evt.arg.exe = bash and evt.arg[0] = 0", shell],
  [
    "a sensitive file that is read",
    "evt.type in (open, openat, openat2) and evt.is_open_read = true and fd.typechar = 'f' and fd.num >= 0 and fd.name = /etc/shadow",
    readShadow,
  ],
  [
    "its directory and name",
    "evt.type = openat and fd.directory = /etc and fd.filename = shadow",
    readShadow,
  ],
  ["a path by pmatch", "evt.type = openat and fd.name pmatch (/etc, /boot)", readShadow],
  ["a call that went well", "evt.type = openat and evt.res = SUCCESS and evt.failed = false", readShadow],
  [
    "an outbound connection",
    `evt.type = connect and (fd.typechar = 4 or fd.typechar = 6) and fd.ip != "0.0.0.0" and fd.net != "127.0.0.0/8" and not fd.snet in ("10.0.0.0/8", "192.168.0.0/16") and (evt.rawres >= 0 or evt.res = EINPROGRESS)`,
    connectOut,
  ],
  ["its port", "evt.type = connect and fd.sport in (4444, 5555) and fd.rport > 1024", connectOut],
  ["its address", 'evt.type = connect and fd.sip = "203.0.113.9" and fd.rip != "203.0.113.10"', connectOut],
  ["its network", 'evt.type = connect and fd.snet in ("198.51.100.0/24", "203.0.113.0/24")', connectOut],
  [
    "a change of mode",
    'evt.type in (chmod, fchmod, fchmodat) and evt.arg.mode contains S_IXUSR and evt.arg.filename = "/dev/shm/x"',
    makeExecutable,
  ],
  [
    "a path whatever its argument is called",
    "evt.type = fchmodat and fs.path.name startswith /dev/shm/",
    makeExecutable,
  ],
  [
    "a parent by name",
    "evt.type = execve and proc.pname = bash",
    [...shell, ...execve({ serial: 9, words: ["id"], pid: 12, ppid: 11 })],
  ],
  [
    "any ancestor",
    "evt.type = execve and proc.name = id and proc.aname = bash and proc.aname[1] = sh and proc.aname[2] in (bash, zsh)",
    [
      ...shell,
      ...execve({ serial: 8, words: ["sh", "-c", "id"], pid: 12, ppid: 11 }),
      ...execve({ serial: 9, words: ["id"], pid: 13, ppid: 12 }),
    ],
  ],
];

describe("a rule about system calls finds", () => {
  for (const [what, condition, lines] of matching) {
    test(what, () => assert.equal(fired(condition, lines), true));
  }
});

const missing: readonly [string, string, readonly string[]][] = [
  [
    "a field the event lacks, whatever the operator",
    'evt.type = execve and fd.name != x or evt.type = connect and fd.cip != "1.1.1.1" or evt.type = bind',
    shell,
  ],
  ["a network the address is outside of", 'evt.type = connect and fd.snet = "10.0.0.0/8"', connectOut],
  ["an unknown parent", "evt.type = execve and (proc.pname exists or proc.aname = bash)", shell],
];

describe("a rule about system calls does not find", () => {
  for (const [what, condition, lines] of missing) {
    test(what, () => assert.equal(fired(condition, lines), false));
  }
});

test("an alert about a system call is written as Falco writes it", () => {
  const { ruleset } = load([
    {
      condition: "evt.type = execve",
      output:
        "Shell (user=%user.name cmd=%proc.cmdline parent=%proc.pname pid=%proc.pid container=%container.id)",
      tags: ["host", "T1059"],
    },
  ]);
  const detector = createRecordDetector(ruleset, { hostname: "node-1" });
  const [alert] = shell.flatMap((line) => [...detector.detect(line).alerts]);
  assert.equal(
    alert?.output,
    "22:13:20.001000000: Warning Shell (user=root cmd=bash -i parent=<NA> pid=11 container=<NA>)",
  );
  assert.deepEqual(JSON.parse(alert?.body ?? ""), {
    hostname: "node-1",
    output: alert?.output,
    output_fields: {
      "container.id": null,
      "evt.time": 1_700_000_000_001_000_000,
      "proc.cmdline": "bash -i",
      "proc.pid": 11,
      "proc.pname": null,
      "user.name": "root",
    },
    priority: "Warning",
    rule: "r0",
    source: "syscall",
    tags: ["T1059", "host"],
    time: "2023-11-14T22:13:20.001000000Z",
  });
  assert.equal(alert?.auditId, "1700000000.001:1");
});

test("the arguments of an event read as Falco prints them", () => {
  const { ruleset } = load([{ condition: "evt.type = fchmodat", output: "%evt.args" }]);
  const detector = createRecordDetector(ruleset, { hostname: "h" });
  const [alert] = makeExecutable.flatMap((line) => [...detector.detect(line).alerts]);
  assert.match(
    alert?.output ?? "",
    /Warning res=0 dirfd=-100\(AT_FDCWD\) filename=x\(\/dev\/shm\/x\) mode=0755\(S_IXOTH\|S_IROTH\|S_IXGRP\|S_IRGRP\|S_IXUSR\|S_IWUSR\|S_IRUSR\)$/,
  );
});

test("the first rule that matches alerts alone, unless all shall", () => {
  const { ruleset } = load([
    { condition: "evt.type = execve" },
    { condition: "proc.name = bash and evt.type = execve" },
  ]);
  const count = (ruleMatching: "first" | "all"): number => {
    const detector = createRecordDetector(ruleset, { hostname: "h", ruleMatching });
    return shell.flatMap((line) => [...detector.detect(line).alerts]).length;
  };
  assert.deepEqual([count("first"), count("all")], [1, 2]);
});

const container = { macro: "container", condition: "(container.id != host)" };

function warnings(condition: string, words: readonly object[] = []): readonly string[] {
  const { results, ok } = load([{ condition }], words);
  assert.equal(ok, true, JSON.stringify(results[0]?.errors));
  return (results[0]?.warnings ?? []).map(({ code, message }) => `${code}: ${message}`);
}

test("a rule that can not match without what records lack is skipped by name, and the load goes on", () => {
  const cases: readonly [string, RegExp][] = [
    [
      "evt.type = execve and container",
      /^LOAD_UNAVAILABLE_FILTER: Rule 'r0' is skipped: .* container\.id \(audit records do not name containers\)$/,
    ],
    ["evt.type = execve and k8s.ns.name = prod and proc.name = sh", /skipped.* k8s\.ns\.name/],
    ["evt.type = execve and thread.cap_permitted contains CAP_SYS_ADMIN", /skipped.* thread\.cap_permitted/],
    ["evt.type = container", /skipped.* event type container/],
    ["evt.type in (execve) and evt.dir = >", /skipped.* evt\.dir = >/],
    ["evt.type = execve and proc.env[LD_PRELOAD] contains x", /skipped.* proc\.env\[LD_PRELOAD\]/],
    ["evt.type = execve and evt.arg.nonsense = x", /skipped.* evt\.arg\.nonsense/],
    ["evt.type = execve and evt.buffer bcontains 6869", /skipped.* evt\.buffer/],
  ];
  for (const [condition, words] of cases) {
    const all = warnings(condition, condition.includes("and container") ? [container] : []);
    const found = all.filter((warning) => !warning.startsWith("LOAD_DEPRECATED_ITEM"));
    assert.equal(found.length, 1, `${condition}: ${found.join("; ")}`);
    assert.match(found[0] ?? "", words);
    assert.equal(
      load([{ condition }], condition.includes("and container") ? [container] : []).ruleset.rules.length,
      0,
    );
  }
});

test("a rule that only excuses by what records lack is kept, and told so", () => {
  const found = warnings("evt.type = execve and proc.name = sh and not container", [container]);
  assert.deepEqual(found, [
    "LOAD_UNAVAILABLE_FILTER: Rule 'r0' reads as missing: container.id (audit records do not name containers)",
  ]);
  assert.equal(fired("evt.type = execve and not container", shell, [container]), true);
});

test("fields of one source do not exist in rules of another", () => {
  const messageOf = (parts: RuleParts): string | undefined => load([parts]).results[0]?.errors[0]?.message;
  assert.equal(
    messageOf({ condition: "proc.name = sh", source: "k8s_audit" }),
    "filter_check called with nonexistent field proc.name",
  );
  assert.equal(
    messageOf({ condition: "evt.type = execve and ka.verb = get" }),
    "filter_check called with nonexistent field ka.verb",
  );
  assert.match(
    messageOf({ condition: "ka.verb = get", source: "k8s_audit", output: "%proc.name" }) ?? "",
    /unexpected token after '%'/,
  );
  assert.equal(messageOf({ condition: "evt.type = execv" }), "unknown event type execv");
  assert.match(
    messageOf({ condition: "evt.type = connect and fd.sip = home" }) ?? "",
    /unrecognized IPv6 address home/,
  );
  assert.match(
    messageOf({ condition: "evt.type = execve", exceptions: [{ name: "x", fields: ["ka.verb"] }] }) ?? "",
    /'ka\.verb' is not a supported filter field/,
  );
});

test("fields that stand for one of several values are compared with constants alone", () => {
  const refused: readonly [RuleParts, RegExp][] = [
    [
      { condition: "evt.type = connect and fd.ip = val(fd.sip)" },
      /^field 'fd\.ip' doesn't support right-hand/,
    ],
    [
      { condition: "evt.type = connect and fd.sip = val(fd.ip)" },
      /^field 'fd\.ip' can't be used as a right-hand/,
    ],
    [{ condition: "evt.type = execve and tolower(proc.aname) = x" }, /^field 'proc\.aname' does not support/],
    [
      { condition: "evt.type = execve and proc.name = val(proc.aname[2])" },
      /^field 'proc\.aname\[2\]' can't/,
    ],
    [
      { condition: "evt.type = connect", output: "%fd.ip" },
      /fd\.ip is filter only and cannot be used as a display/,
    ],
    [{ condition: "evt.type = connect and fd.net = 10.0.0.1" }, /^unrecognized IP network 10\.0\.0\.1$/],
    [{ condition: "evt.type = connect and fd.sip = 010.0.0.1" }, /^unrecognized IPv4 address 010\.0\.0\.1$/],
    [{ condition: "evt.type = connect and fd.sport = nosuch" }, /^unrecognized protocol nosuch$/],
    [{ condition: "evt.type = connect and fd.is_server = yes" }, /unrecognized boolean value yes$/],
  ];
  for (const [parts, words] of refused) {
    assert.match(load([parts]).results[0]?.errors[0]?.message ?? "loads", words, JSON.stringify(parts));
  }
});

test("a rule for any type of event is warned of, unless it asks not to be", () => {
  assert.deepEqual(
    warnings("proc.name = sh").map((text) => text.split(":")[0]),
    ["LOAD_NO_EVTTYPE"],
  );
  assert.deepEqual(
    warnings("evt.type != openat and proc.name = sh").map((text) => text.split(":")[0]),
    ["LOAD_NO_EVTTYPE"],
  );
  assert.deepEqual(warnings("evt.type in (open, openat, execve) and proc.name = sh"), []);
  const quiet = load([{ condition: "proc.name = sh", warn_evttypes: false }]);
  assert.deepEqual(quiet.results[0]?.warnings, []);
});

test("an event that is still open is evaluated at a flush", () => {
  const { ruleset } = load([{ condition: "evt.type = unlink" }]);
  const detector = createRecordDetector(ruleset, { hostname: "h" });
  assert.equal(detector.detect(syscallLine({ serial: 5, syscall: 87 })).alerts.length, 0);
  assert.equal(detector.flush().alerts.length, 1);
  assert.deepEqual(detector.detect(endLine(5)), { alerts: [], events: 0, problems: [] });
});
