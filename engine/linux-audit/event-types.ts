import { syscallsAarch64, syscallsX8664 } from "./syscall-numbers.ts";

/** Events of Falco that are no system calls: nothing in the audit log stands for them. */
export const otherEvents: ReadonlySet<string> = new Set(
  `asyncevent container cpu_hotplug drop group_added group_deleted infra k8s mesos notification page_fault pluginevent
   procexit procinfo scapevent signaldeliver switch syscall sysdigevent tracer user_added user_deleted`.split(
    /\s+/,
  ),
);

/** Names of calls that only other machines have, which rules for many machines list beside today's. */
const elsewhere =
  `_llseek fcntl64 fstat64 fstatat64 fstatfs64 ftruncate64 llseek lstat64 mmap2 nice oldfstat oldlstat
  oldolduname oldstat recv send sendfile64 sigaction signal sigpending sigprocmask sigsuspend socketcall stat64
  statfs64 stime truncate64 ugetrlimit umount waitpid bdflush break ftime gtty idle lock mpx prof profil ssetmask
  sgetmask stty ulimit fadvise64_64 sync_file_range2 pciconfig_read pciconfig_write pciconfig_iobase s390_runtime_instr
  spu_create spu_run subpage_prot switch_endian swapcontext multiplexer rtas sys_debug_setcontext`.split(
    /\s+/,
  );

/** Names of all calls that records of a known machine can hold. */
export const recordedEvents: ReadonlySet<string> = new Set([
  ...syscallsX8664.values(),
  ...syscallsAarch64.values(),
]);

const known: ReadonlySet<string> = new Set([...recordedEvents, ...otherEvents, ...elsewhere]);

/** Whether Falco has an event of this name. */
export function isEventType(name: string): boolean {
  return known.has(name);
}
