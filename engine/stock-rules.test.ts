import assert from "node:assert/strict";
import { test } from "node:test";
import { createRecordDetector, loadRules } from "./index.ts";
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

/** In the style of the rules that come with Falco; the words are those its files use. */
const stock = `
- required_engine_version: 0.57.0
- required_plugin_versions:
    - name: container
      version: 0.4.0
- list: shell_binaries
  items: [ash, bash, csh, ksh, sh, tcsh, zsh, dash]
- list: log_directories
  items: [/var/log, /dev/log]
- macro: never_true
  condition: (evt.num=0)
- macro: open_write
  condition: (evt.type in (open,openat,openat2) and evt.is_open_write=true and fd.typechar='f' and fd.num>=0)
- macro: spawned_process
  condition: (evt.type in (execve, execveat) and evt.dir=<)
- macro: container
  condition: (container.id != host)
- macro: proc_name_exists
  condition: (proc.name!="<NA>")
- macro: trusted_images
  condition: (container.image.repository endswith "fluent/fluentd" or container.image.repository in (splunk, datadog))
- macro: outbound
  condition: >
    (((evt.type = connect and evt.dir=<) or
      (evt.type in (sendto,sendmsg) and evt.dir=< and fd.l4proto != tcp and fd.connected=false and fd.name_changed=true)) and
     (fd.typechar = 4 or fd.typechar = 6) and
     (fd.ip != "0.0.0.0" and fd.net != "127.0.0.0/8" and not fd.snet in ("10.0.0.0/8", "172.16.0.0/12")) and
     (evt.rawres >= 0 or evt.res = EINPROGRESS))
- rule: Clear Log
  desc: d
  condition: >
    open_write and fd.directory in (log_directories) and evt.arg.flags contains "O_TRUNC" and not trusted_images and not never_true
  output: Log cleared (file=%fd.name flags=%evt.arg.flags pcmdline=%proc.pcmdline user=%user.name %container.info)
  priority: WARNING
- rule: Setuid Bit
  desc: d
  condition: evt.type in (chmod, fchmod, fchmodat) and (evt.arg.mode contains "S_ISUID" or evt.arg.mode contains "S_ISGID") and proc_name_exists
  output: Setuid (fd=%evt.arg.fd filename=%evt.arg.filename mode=%evt.arg.mode exe_flags=%evt.arg.flags)
  priority: NOTICE
- rule: Ptrace
  desc: d
  condition: evt.type=ptrace and proc_name_exists and (evt.arg.request contains PTRACE_ATTACH or evt.arg.request contains PTRACE_SEIZE)
  output: Ptrace (request=%evt.arg.request target=%evt.arg.pid)
  priority: WARNING
- rule: Shell In Container
  desc: d
  condition: spawned_process and container and proc.name in (shell_binaries) and proc.tty != 0
  output: Shell (container=%container.id k8s_ns=%k8s.ns.name k8s_pod=%k8s.pod.name)
  priority: NOTICE
- rule: Memory Program
  desc: d
  condition: spawned_process and proc.is_exe_from_memfd=true
  output: Run from memory (%proc.exepath)
  priority: CRITICAL
- rule: Outbound
  desc: d
  condition: outbound and not proc.name in (shell_binaries)
  output: Out (%fd.name %fd.lport %fd.rport %fd.l4proto)
  priority: NOTICE
`;

test("rules in the style of Falco's own load whole, and each finds what it is for", () => {
  const { ok, results, ruleset } = loadRules([{ name: "falco_rules.yaml", content: stock }]);
  assert.equal(ok, true, JSON.stringify(results[0]?.errors));
  assert.deepEqual(
    ruleset.rules.map(({ name }) => name),
    ["Clear Log", "Setuid Bit", "Ptrace", "Memory Program", "Outbound"],
  );
  const said = (results[0]?.warnings ?? []).filter(({ code }) => code === "LOAD_UNAVAILABLE_FILTER");
  assert.deepEqual(
    said.map(({ message }) => message.split(":")[0]),
    [
      "Rule 'Clear Log' reads as missing",
      "Rule 'Shell In Container' is skipped",
      "Rule 'Outbound' reads as missing",
    ],
  );
  const lines = [
    syscallLine({ serial: 1, syscall: 257, exit: 3, a: ["ffffff9c", "0", "241", "1b6"], items: 1, pid: 5 }),
    cwdLine(1, "/"),
    pathLine(1, 0, "/var/log/syslog", "NORMAL"),
    titleLine(1, ["truncate"]),
    syscallLine({ serial: 2, syscall: 90, a: ["0", "9ed", "0", "0"], items: 1 }),
    cwdLine(2, "/"),
    pathLine(2, 0, "/tmp/rootme", "NORMAL"),
    titleLine(2, ["chmod"]),
    syscallLine({ serial: 3, syscall: 101, a: ["10", "1f4", "0", "0"], comm: "gdb", exe: "/usr/bin/gdb" }),
    endLine(3),
    ...execve({ serial: 4, words: ["x"], exe: "/memfd:x (deleted)", comm: "3" }),
    syscallLine({
      serial: 5,
      syscall: 42,
      exit: -115,
      a: ["3", "0", "10", "0"],
      comm: "nc",
      exe: "/usr/bin/nc",
    }),
    `${head("SOCKADDR", 5)}saddr=${inetAddress("203.0.113.9", 4444)}`,
    titleLine(5, ["nc", "203.0.113.9", "4444"]),
  ];
  const detector = createRecordDetector(ruleset, { hostname: "h" });
  assert.deepEqual(
    lines.flatMap((line) => detector.detect(line).alerts.map(({ output }) => output.slice(20))),
    [
      "Warning Log cleared (file=/var/log/syslog flags=O_TRUNC|O_CREAT|O_WRONLY pcmdline=<NA> user=root )",
      "Notice Setuid (fd=<NA> filename=/tmp/rootme mode=S_IXOTH|S_IROTH|S_IXGRP|S_IRGRP|S_IXUSR|S_IWUSR|S_IRUSR|S_ISUID exe_flags=<NA>)",
      "Warning Ptrace (request=PTRACE_ATTACH target=500)",
      "Critical Run from memory (/memfd:x (deleted))",
      "Notice Out (->203.0.113.9:4444 <NA> 4444 <NA>)",
    ],
  );
});
