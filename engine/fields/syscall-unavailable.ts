import type { ArgumentRule, FieldDefinition } from "./field.ts";

/** Groups of Falco's field names that no audit record can fill, with what it would take. A `?` ends a name that may take an argument, a `!` one that must. */
const missing: readonly { readonly why: string; readonly names: string }[] = [
  {
    why: "audit records do not name containers",
    names: `container.id container.full_id container.name container.image container.image.id container.type
      container.privileged container.mounts container.mount! container.mount.source! container.mount.dest!
      container.mount.mode! container.mount.rdwr! container.mount.propagation! container.image.repository
      container.image.tag container.image.digest container.healthcheck container.liveness_probe
      container.readiness_probe container.start_ts container.duration container.ip container.cni.json
      container.host_pid container.host_network container.host_ipc container.label! container.labels
      proc.is_container_healthcheck proc.is_container_liveness_probe proc.is_container_readiness_probe
      fd.containername fd.containerdirectory`,
  },
  {
    why: "audit records do not name pods",
    names: `k8s.pod.name k8s.pod.id k8s.pod.uid k8s.pod.sandbox_id k8s.pod.full_sandbox_id k8s.pod.label! k8s.pod.labels
      k8s.pod.ip k8s.pod.cni.json k8s.ns.name k8s.ns.id k8s.ns.label! k8s.ns.labels k8s.rc.name k8s.rc.id
      k8s.rc.label! k8s.rc.labels k8s.rs.name k8s.rs.id k8s.rs.label! k8s.rs.labels k8s.svc.name k8s.svc.id
      k8s.svc.label! k8s.svc.labels k8s.deployment.name k8s.deployment.id k8s.deployment.label!
      k8s.deployment.labels k8smeta.pod.name k8smeta.pod.uid k8smeta.pod.label! k8smeta.pod.labels
      k8smeta.pod.ip k8smeta.ns.name k8smeta.ns.uid k8smeta.ns.label! k8smeta.ns.labels
      k8smeta.deployment.name k8smeta.deployment.uid k8smeta.deployment.label! k8smeta.deployment.labels
      k8smeta.svc.name k8smeta.svc.uid k8smeta.svc.label! k8smeta.svc.labels k8smeta.rs.name k8smeta.rs.uid
      k8smeta.rs.label! k8smeta.rs.labels k8smeta.rc.name k8smeta.rc.uid k8smeta.rc.label! k8smeta.rc.labels`,
  },
  {
    why: "audit records tell processes, not threads",
    names: `thread.pexectime thread.exectime thread.totexectime thread.cgroups thread.cgroup! thread.vtid thread.nametid
      thread.cpu thread.cpu.user thread.cpu.system thread.vmsize thread.vmrss thread.vmsize.kb thread.vmrss.kb
      thread.ismain thread.tid thread.cap_permitted thread.cap_inheritable thread.cap_effective
      proc.nthreads proc.nchilds`,
  },
  {
    why: "audit records do not tell sessions, process groups or namespaces",
    names: `proc.sid proc.sname proc.sid.exe proc.sid.exepath proc.is_sid_leader proc.vpid proc.pvpid proc.vpgid
      proc.vpgid.name proc.vpgid.exe proc.vpgid.exepath proc.is_vpgid_leader proc.pgid proc.pgid.name
      proc.pgid.exe proc.pgid.exepath proc.is_pgid_leader proc.loginshellid proc.pidns_init_start_ts`,
  },
  {
    why: "audit records do not hold a process's environment, memory, files or times",
    names: `proc.env? proc.aenv? proc.ppid.duration proc.fdopencount proc.fdlimit proc.fdusage proc.vmsize proc.vmrss
      proc.vmswap proc.is_exe_writable proc.is_exe_upper_layer proc.is_exe_lower_layer
      proc.exe_ino proc.exe_ino.ctime proc.exe_ino.mtime
      proc.exe_ino.ctime_duration_proc_start proc.exe_ino.ctime_duration_pidns_start proc.stdin.type
      proc.stdout.type proc.stderr.type proc.stdin.name proc.stdout.name proc.stderr.name thread.pfmajor
      thread.pfminor proc.pfmajor proc.pfminor`,
  },
  {
    why: "audit records are written when a call returns and hold no data",
    names: `evt.latency evt.latency.s evt.latency.ns evt.latency.quantized evt.latency.human evt.deltatime evt.deltatime.s
      evt.deltatime.ns evt.outputtime evt.cpu evt.category evt.buffer evt.buflen evt.buflen.in evt.buflen.out
      evt.buflen.file evt.buflen.file.in evt.buflen.file.out evt.buflen.net evt.buflen.net.in
      evt.buflen.net.out evt.is_io evt.is_io_read evt.is_io_write evt.io_dir evt.is_wait evt.wait_latency
      evt.is_syslog evt.count.error.file evt.count.error.net evt.count.error.memory evt.count.error.other
      evt.count.exit evt.count.procinfo evt.count.threadinfo evt.around! evt.abspath! evt.type.is!
      fdlist.nums fdlist.names fdlist.cips fdlist.sips fdlist.cports fdlist.sports`,
  },
  {
    why: "audit records do not tell the state of sockets or names of hosts and services",
    names: `fd.connected fd.name_changed fd.cip.name fd.sip.name fd.lip.name fd.rip.name fd.proto fd.cproto fd.sproto
      fd.lproto fd.rproto fd.types?`,
  },
  { why: "its values have no fixed type; evt.arg has the same arguments", names: "evt.rawarg!" },
  {
    why: "audit records hold no messages",
    names: "syslog.facility.str syslog.facility syslog.severity.str syslog.severity syslog.message",
  },
  { why: "audit records do not tell homes or shells of users", names: "user.homedir user.shell" },
];

const argumentOf: Readonly<Record<string, ArgumentRule>> = { "!": "word-required", "?": "key-optional" };

/** Fields Falco has and this source has not: rules may name them, and are told what that means. */
export const unavailableFields: readonly FieldDefinition[] = missing.flatMap(({ why, names }) =>
  names.split(/\s+/).map((entry): FieldDefinition => {
    const argument = argumentOf[entry.slice(-1)] ?? "none";
    return {
      name: argument === "none" ? entry : entry.slice(0, -1),
      type: "CHARBUF",
      isList: false,
      argument,
      doc: `Not available: ${why}`,
      unavailable: why,
      bind: () => () => undefined,
    };
  }),
);
