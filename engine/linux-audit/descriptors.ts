import type { Call, PathRecord } from "./call.ts";
import { eventSpec } from "./event-specs.ts";
import { openFlags } from "./flag-names.ts";
import type { ProcessTable } from "./process-table.ts";
import type { Descriptor, EventPath } from "./syscall-event.ts";

const nothing: Descriptor = {
  number: undefined,
  type: undefined,
  name: undefined,
  nameRaw: undefined,
  clientIp: undefined,
  clientPort: undefined,
  serverIp: undefined,
  serverPort: undefined,
  isServer: undefined,
  l4proto: undefined,
  inode: undefined,
  device: undefined,
};

/** The descriptor an event is about. Only what the records tell is told; ends of a connection they lack are left out. */
export function describeDescriptor(
  call: Call,
  pid: bigint,
  path: EventPath | undefined,
  table: ProcessTable,
): Descriptor | undefined {
  const { fd: use } = eventSpec(call.type);
  switch (use) {
    case "none":
      return undefined;
    case "opened":
      return opened(call, path);
    case "created":
      return { ...nothing, number: call.isFailed ? -1n : call.result, ...socketOf(call) };
    case "first":
      return known(call, pid, table);
    case "accepted": {
      const listening = known(call, pid, table);
      const { l4proto, serverIp, serverPort, type } = listening;
      // A socket bound to any address does not tell which of them the caller reached.
      const isAny = serverIp === "0.0.0.0" || serverIp === "::";
      const base = { ...nothing, number: call.isFailed ? -1n : call.result, isServer: true, type, l4proto };
      return withAddress({ ...base, serverIp: isAny ? undefined : serverIp, serverPort }, call, "accepted");
    }
    case "remote":
    case "local": {
      const number = firstNumber(call);
      const before = number === undefined ? undefined : table.descriptor(call.node, pid, number);
      const base = { ...nothing, number, isServer: use === "local" };
      const described = withAddress(base, call, use);
      // A socket of another family is an older one that had the same number.
      const isSame = before?.type === described.type || (before?.type === "ipv6" && isMapped(call));
      return isSame ? { ...described, l4proto: before?.l4proto } : described;
    }
  }
}

const isMapped = ({ address }: Call): boolean => address?.family === "ipv4" && address.isMapped;

function firstNumber(call: Call): bigint | undefined {
  const value = call.argument(0);
  return value === undefined ? undefined : BigInt.asIntN(32, value);
}

function opened(call: Call, path: EventPath | undefined): Descriptor {
  const record = call.paths.find(({ role }) => role !== "PARENT");
  const index = eventSpec(call.type).args.find(({ kind }) => kind === "open")?.index;
  const flags = call.openHow?.flags ?? (index === undefined ? undefined : call.argument(index)) ?? 0n;
  const isDirectory =
    ((record?.mode ?? 0) & 0o170000) === 0o040000 || openFlags(flags, call.machine).isDirectory;
  return {
    ...nothing,
    number: call.isFailed ? -1n : call.result,
    type: isDirectory ? "directory" : "file",
    name: path?.full,
    nameRaw: path?.raw,
    inode: record?.inode,
    device: record?.device,
  };
}

/** A descriptor from earlier; a file counts only when the kernel says that it is the same one. */
function known(call: Call, pid: bigint, table: ProcessTable): Descriptor {
  const number = firstNumber(call);
  const before = number === undefined ? undefined : table.descriptor(call.node, pid, number);
  const [record] = call.paths;
  if (before !== undefined && (isSocket(before) || isSameFile(before, record))) return { ...before, number };
  return { ...nothing, number, inode: record?.inode, device: record?.device };
}

function isSocket({ type }: Descriptor): boolean {
  return type === "ipv4" || type === "ipv6" || type === "unix";
}

function isSameFile({ inode, device }: Descriptor, record: PathRecord | undefined): boolean {
  if (inode === undefined || record?.inode !== inode) return false;
  return device?.major === record.device?.major && device?.minor === record.device?.minor;
}

/** Adds what the SOCKADDR record tells: the far end of a call that reaches out, the own end of one that binds. */
function withAddress(base: Descriptor, call: Call, use: "remote" | "local" | "accepted"): Descriptor {
  const { address } = call;
  if (address === undefined) return base;
  if (address.family === "unix") return { ...base, type: "unix", name: address.path };
  const { family: type, ip } = address;
  const port = BigInt(address.port);
  const end = endpoint(ip, port);
  switch (use) {
    case "remote":
      return { ...base, type, serverIp: ip, serverPort: port, name: `->${end}` };
    case "local":
      return { ...base, type, serverIp: ip, serverPort: port, name: end };
    case "accepted":
      return { ...base, type, clientIp: ip, clientPort: port, name: `${end}->${ownEnd(base)}` };
  }
}

function endpoint(ip: string, port: bigint): string {
  return ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
}

function ownEnd({ serverIp, serverPort }: Descriptor): string {
  return serverIp === undefined || serverPort === undefined ? "" : endpoint(serverIp, serverPort);
}

function socketOf(call: Call): Pick<Descriptor, "type" | "l4proto"> {
  const family = call.argument(0);
  const kind = (call.argument(1) ?? 0n) & 0xfn;
  const protocol = call.argument(2);
  if (family === 1n) return { type: "unix", l4proto: undefined };
  if (family !== 2n && family !== 10n) return { type: undefined, l4proto: undefined };
  const type = family === 2n ? "ipv4" : "ipv6";
  if (kind === 1n) return { type, l4proto: "tcp" };
  if (protocol === 1n || protocol === 58n) return { type, l4proto: "icmp" };
  if (kind === 2n) return { type, l4proto: "udp" };
  return { type, l4proto: kind === 3n ? "raw" : undefined };
}

/** Remembers descriptors that calls make and forgets those they close. */
export function trackDescriptors(
  call: Call,
  pid: bigint,
  fd: Descriptor | undefined,
  table: ProcessTable,
): void {
  if (call.isFailed || fd === undefined) return;
  const number = call.type.startsWith("dup") ? call.result : fd.number;
  if (number === undefined || number < 0n) return;
  const { fd: use } = eventSpec(call.type);
  if (call.type === "close") table.forgetDescriptor(call.node, pid, number);
  else if (use !== "first" || call.type.startsWith("dup")) {
    table.rememberDescriptor(call.node, pid, number, { ...fd, number });
  }
}
