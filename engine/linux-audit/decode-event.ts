import { type Call, commandLineMax, type PathRecord, readCall } from "./call.ts";
import { describeDescriptor, trackDescriptors } from "./descriptors.ts";
import { type KnownNames, readArguments } from "./event-arguments.ts";
import { eventSpec } from "./event-specs.ts";
import { openFlags } from "./flag-names.ts";
import type { RecordGroup } from "./join-records.ts";
import { resolvePath } from "./paths.ts";
import type { ProcessTable } from "./process-table.ts";
import type { EventPath, Identity, ProcessInfo, SyscallEvent } from "./syscall-event.ts";

const unset = 4_294_967_295n;

/** Makes an event of joined records and remembers what later events may need. A text says why it can not. */
export function decodeEvent(
  group: RecordGroup,
  table: ProcessTable,
  names: KnownNames,
): SyscallEvent | string {
  const call = readCall(group);
  if (typeof call === "string") return call;
  const pid = BigInt(/^\d{1,10}$/.exec(call.field("pid") ?? "")?.[0] ?? "-1");
  if (pid < 0n) return `event ${group.id}: its SYSCALL record has no pid`;
  const process = processOf(call, pid, table);
  table.remember(call.node, process);
  const { path, source, target } = pathsOf(call, pid, table);
  const fd = describeDescriptor(call, pid, path, table);
  trackDescriptors(call, pid, fd, table);
  const identity = {
    user: identityOf(call, "euid", names.users),
    loginUser: identityOf(call, "auid", names.users),
    group: identityOf(call, "egid", names.groups),
  };
  const facts = { process, path, source, target, fd, tty: terminalOf(call), ...identity };
  return {
    id: group.id,
    timeNs: group.timeNs,
    type: call.type,
    result: call.result,
    isFailed: call.isFailed,
    args: readArguments(call, { ...facts, names }),
    ancestors: table.ancestors(call.node, process),
    cwd: call.cwd,
    open: openOf(call),
    ...facts,
  };
}

/** Records tell the name and the program; the command line comes from this call, an earlier one, or the title. */
function processOf(call: Call, pid: bigint, table: ProcessTable): ProcessInfo {
  const before = table.process(call.node, pid);
  const ppid = /^\d{1,10}$/.exec(call.field("ppid") ?? "")?.[0];
  const base = {
    pid,
    ppid: ppid === undefined ? before?.ppid : BigInt(ppid),
    name: call.field("comm"),
    exePath: call.field("exe"),
  };
  const isExec = call.type === "execve" || call.type === "execveat";
  if (isExec && !call.isFailed && call.words !== undefined) {
    const [exe, ...args] = call.words;
    return { ...base, exe, args, startNs: call.group.timeNs };
  }
  const isSame = before !== undefined && before.exePath === base.exePath && fitsTitle(before, call.title);
  if (isSame) return { ...before, ...base };
  const [exe, ...args] = call.title ?? [];
  return { ...base, exe, args: exe === undefined ? undefined : args, startNs: undefined };
}

/** Whether the title, which may be cut, can be that of the process as it was: numbers of processes are used again. */
function fitsTitle({ exe, args }: ProcessInfo, title: readonly string[] | undefined): boolean {
  if (title === undefined) return true;
  const before = [exe ?? "", ...(args ?? [])].join("\0");
  return before.slice(0, commandLineMax).startsWith(title.join("\0"));
}

interface Paths {
  readonly path: EventPath | undefined;
  readonly source: EventPath | undefined;
  readonly target: EventPath | undefined;
}

/** Calls that name two paths, by what the first of them is. */
const pairs: ReadonlyMap<string, "DELETE" | "NORMAL" | "UNKNOWN"> = new Map([
  ["rename", "DELETE"],
  ["renameat", "DELETE"],
  ["renameat2", "DELETE"],
  ["link", "NORMAL"],
  ["linkat", "NORMAL"],
  ["symlink", "UNKNOWN"],
  ["symlinkat", "UNKNOWN"],
]);

function pathsOf(call: Call, pid: bigint, table: ProcessTable): Paths {
  const dirfds = eventSpec(call.type).args.filter(({ kind }) => kind === "dirfd");
  const parents = call.paths.filter(({ role }) => role === "PARENT");
  const base = (which: number): string | undefined => {
    const spec = dirfds[which] ?? dirfds[0];
    const fd = spec === undefined ? undefined : call.argument(spec.index);
    if (fd === undefined) return dirfds.length === 0 ? call.cwd : undefined;
    const number = BigInt.asIntN(32, fd);
    if (number === -100n) return call.cwd;
    return verifiedName(table.descriptor(call.node, pid, number), parents[which] ?? parents[0]);
  };
  const named = (record: PathRecord | undefined, which: number): EventPath | undefined =>
    record?.name === undefined
      ? undefined
      : { raw: record.name, full: resolvePath(base(which), record.name) };
  const targets = call.paths.filter(({ role }) => role !== "PARENT");
  const first = pairs.get(call.type);
  if (first === undefined) {
    const [path, second] = targets;
    const isMount = call.type === "mount";
    return {
      path: isMount ? undefined : named(path, 0),
      source: isMount ? named(second, 0) : undefined,
      target: isMount ? named(path, 0) : undefined,
    };
  }
  const source = targets.find(({ role }) => role === first);
  const target = targets.findLast((record) => record.role === "CREATE" && record !== source);
  // What a symbolic link points to is text, and no path of this call.
  const isText = first === "UNKNOWN";
  const sourcePath = isText && source?.name !== undefined ? textPath(source.name) : named(source, 0);
  return { path: undefined, source: sourcePath, target: named(target, 1) };
}

function textPath(raw: string): EventPath {
  return { raw, full: raw.startsWith("/") ? raw : undefined };
}

/** The directory behind a descriptor, if it is the one that the kernel saw in this call. */
function verifiedName(
  directory: ReturnType<ProcessTable["descriptor"]>,
  parent: PathRecord | undefined,
): string | undefined {
  if (directory?.inode === undefined || directory.inode !== parent?.inode) return undefined;
  const [a, b] = [directory.device, parent.device];
  return a !== undefined && a.major === b?.major && a.minor === b.minor ? directory.name : undefined;
}

function identityOf(call: Call, key: string, names: ReadonlyMap<number, string>): Identity {
  const text = call.field(key);
  const id = text !== undefined && /^\d{1,10}$/.test(text) ? BigInt(text) : undefined;
  if (id === undefined || id === unset) return { id: undefined, name: undefined };
  const told = call.enriched(key.toUpperCase());
  const name =
    told === undefined || told === "unset" || told.startsWith("unknown(") ? names.get(Number(id)) : told;
  return { id, name: name ?? (id === 0n ? "root" : undefined) };
}

/** The number of a terminal's device, as the kernel packs it. */
function terminalOf(call: Call): bigint | undefined {
  const tty = call.field("tty");
  if (tty === undefined) return undefined;
  if (tty === "(none)") return 0n;
  const found = /^(pts\/?|ttyS|tty)(\d{1,6})$/.exec(tty);
  if (found === null) return tty === "console" ? 0x501n : undefined;
  const number = BigInt(found[2] ?? 0);
  const pseudo = found[1]?.startsWith("pts") ?? false;
  const major = pseudo ? 136n : 4n;
  const minor = found[1] === "ttyS" ? number + 64n : number;
  return (minor & 0xffn) | (major << 8n) | ((minor & ~0xffn) << 12n);
}

function openOf(call: Call): SyscallEvent["open"] {
  const spec = eventSpec(call.type);
  if (spec.fd !== "opened") return undefined;
  const isNew = !call.isFailed && call.paths.some(({ role }) => role === "CREATE");
  const created = call.paths.find(({ role }) => role === "CREATE");
  const isExec = isNew && ((created?.mode ?? 0) & 0o111) !== 0;
  if (call.type === "creat") return { isRead: false, isWrite: true, isCreate: isNew, isExec };
  const index = spec.args.find(({ kind }) => kind === "open")?.index;
  const value = call.type === "openat2" ? call.openHow?.flags : call.argument(index ?? 0);
  if (value === undefined) return undefined;
  const { isRead, isWrite } = openFlags(value, call.machine);
  return { isRead, isWrite, isCreate: isNew, isExec };
}
