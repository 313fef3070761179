import type { Call } from "./call.ts";
import { errorName } from "./errors.ts";
import { type ArgumentSpec, eventSpec } from "./event-specs.ts";
import { namesOf, openFlags } from "./flag-names.ts";
import type { Descriptor, EventArgument, EventPath, Identity, ProcessInfo } from "./syscall-event.ts";

/** Names of users and groups by number, where the caller knows them. */
export interface KnownNames {
  readonly users: ReadonlyMap<number, string>;
  readonly groups: ReadonlyMap<number, string>;
}

/** What has been worked out of an event before its arguments. */
export interface EventFacts {
  readonly process: ProcessInfo;
  readonly path: EventPath | undefined;
  readonly source: EventPath | undefined;
  readonly target: EventPath | undefined;
  readonly fd: Descriptor | undefined;
  readonly tty: bigint | undefined;
  readonly user: Identity;
  readonly loginUser: Identity;
  readonly names: KnownNames;
}

/** The arguments of an event in Falco's order; one that its records do not tell is left out. */
export function readArguments(call: Call, facts: EventFacts): readonly EventArgument[] {
  return eventSpec(call.type).args.flatMap((spec) => {
    const value = valueOf(spec, call, facts);
    return value === undefined ? [] : [{ name: spec.name, text: value.text, raw: value.raw ?? value.text }];
  });
}

interface Value {
  readonly text: string;
  readonly raw?: string;
}

function valueOf(spec: ArgumentSpec, call: Call, facts: EventFacts): Value | undefined {
  return ofProcess(spec, facts) ?? ofRecords(spec, call, facts) ?? ofRegisters(spec, call, facts.names);
}

function plain(value: string | bigint | undefined): Value | undefined {
  return value === undefined ? undefined : { text: String(value) };
}

function ofProcess({ kind }: ArgumentSpec, { process, user, loginUser, tty }: EventFacts): Value | undefined {
  switch (kind) {
    case "exe":
      return plain(process.exe);
    case "args":
      // Falco prints the end of each word as a point.
      return plain(process.args?.map((word) => `${word}.`).join(""));
    case "pid":
      return plain(process.pid);
    case "ppid":
      return plain(process.ppid);
    case "comm":
      return plain(process.name);
    case "tty":
      return plain(tty);
    case "loginuid":
      return identityText(loginUser.id ?? -1n, loginUser.name);
    case "uid":
      return user.id === undefined ? undefined : identityText(user.id, user.name);
    default:
      return undefined;
  }
}

function ofRecords({ kind }: ArgumentSpec, call: Call, facts: EventFacts): Value | undefined {
  const { fd } = facts;
  switch (kind) {
    case "res":
      return resultText(call);
    case "newfd":
      return descriptorText(call, fd);
    case "path":
      return pathText(facts.path ?? (call.type === "mount" ? facts.target : undefined));
    case "second":
    case "old":
      return pathText(facts.source);
    case "new":
      return pathText(facts.target);
    case "cwd":
      return plain(call.cwd);
    case "tuple":
    case "addr":
      return plain(fd?.name);
    case "dev":
      return fd?.device === undefined ? undefined : plain(deviceNumber(fd.device));
    case "ino":
      return plain(fd?.inode);
    case "open2":
      return call.openHow === undefined ? undefined : openText(call.openHow.flags, call.machine);
    case "mode2":
      return call.openHow === undefined ? undefined : octalText(call.openHow.mode);
    case "resolve":
      return plain(call.openHow?.resolve);
    default:
      return undefined;
  }
}

function resultText({ result }: Call): Value | undefined {
  if (result === undefined) return undefined;
  return { text: result < 0n ? errorName(Number(-result)) : String(result), raw: String(result) };
}

function descriptorText(call: Call, fd: Descriptor | undefined): Value | undefined {
  const { result } = call;
  if (result === undefined) return undefined;
  if (result < 0n) return { text: errorName(Number(-result)), raw: String(result) };
  const letter = fd?.type === undefined ? undefined : typeChar(fd.type);
  const isNamed = letter !== undefined && fd?.name !== undefined;
  return { text: isNamed ? `<${letter}>${fd.name}` : String(result), raw: String(result) };
}

/** Falco's letter for a type of descriptor. */
export function typeChar(type: NonNullable<Descriptor["type"]>): string {
  return { file: "f", directory: "d", ipv4: "4", ipv6: "6", unix: "u" }[type];
}

/** Major and minor number packed as the kernel packs them. */
export function deviceNumber({ major, minor }: NonNullable<Descriptor["device"]>): bigint {
  return (minor & 0xffn) | (major << 8n) | ((minor & ~0xffn) << 12n);
}

function pathText(path: EventPath | undefined): Value | undefined {
  return path === undefined ? undefined : { text: path.full ?? path.raw, raw: path.raw };
}

function openText(flags: bigint, machine: string): Value {
  return { text: openFlags(flags, machine).names, raw: String(flags) };
}

function identityText(id: bigint, name: string | undefined): Value {
  return { text: name ?? String(id), raw: String(id) };
}

function octalText(mode: bigint): Value {
  return { text: `0${(mode & 0o7777n).toString(8)}` };
}

/** Arguments that are numbers in the machine's registers. */
function ofRegisters({ name, kind, index }: ArgumentSpec, call: Call, names: KnownNames): Value | undefined {
  const value = call.argument(index);
  if (value === undefined) return undefined;
  const number = BigInt.asIntN(32, value);
  switch (kind) {
    case "open":
      return openText(value, call.machine);
    case "mode":
      return octalText(value);
    case "fd":
      return plain(number);
    case "dirfd":
      return { text: number === -100n ? "AT_FDCWD" : String(number), raw: String(number) };
    case "num":
      return plain(number);
    case "id": {
      const known = name.endsWith("gid") ? names.groups : names.users;
      return identityText(number, known.get(Number(number)) ?? (number === 0n ? "root" : undefined));
    }
    case "hex":
      return { text: `0x${value.toString(16)}`, raw: String(value) };
    case "chmod":
      return { text: namesOf(kind, value) || "0", raw: octalText(value).text };
    default: {
      const names = namesOf(kind, value);
      return names === undefined || names === "" ? plain(value) : { text: names, raw: String(value) };
    }
  }
}
