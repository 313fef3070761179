import { deviceNumber, typeChar } from "../linux-audit/event-arguments.ts";
import { eventSpec } from "../linux-audit/event-specs.ts";
import { directoryOf, fileNameOf } from "../linux-audit/paths.ts";
import type { Descriptor, EventPath, SyscallEvent } from "../linux-audit/syscall-event.ts";
import type { FieldDefinition, FieldType, FieldValue } from "./field.ts";
import { callField, limitedTo } from "./syscall.ts";

function own(
  name: string,
  type: FieldType,
  doc: string,
  read: (fd: Descriptor) => FieldValue,
): FieldDefinition {
  return callField(name, type, doc, ({ fd }) => (fd === undefined ? undefined : read(fd)));
}

function filterOnly(...args: Parameters<typeof own>): FieldDefinition {
  return { ...own(...args), isFilterOnly: true };
}

const isFile = ({ type }: Descriptor): boolean => type === "file" || type === "directory";
const local = (fd: Descriptor, end: "Ip" | "Port"): FieldValue =>
  fd.isServer === true ? fd[`server${end}`] : fd[`client${end}`];
const remote = (fd: Descriptor, end: "Ip" | "Port"): FieldValue =>
  fd.isServer === true ? fd[`client${end}`] : fd[`server${end}`];
const either = (fd: Descriptor, end: "Ip" | "Port"): FieldValue => fd[`client${end}`] ?? fd[`server${end}`];

const has =
  (...uses: readonly string[]) =>
  (type: string): boolean =>
    uses.includes(eventSpec(type).fd);
const anyDescriptor = has("opened", "first", "remote", "local", "accepted", "created");
const files = has("opened", "first");
const sockets = has("first", "remote", "local", "accepted", "created");
const servers = has("first", "remote", "local", "accepted");
const clients = has("first", "accepted");

/** Fields of the file or socket that a call is about. */
export const descriptorFields: readonly FieldDefinition[] = [
  ...limitedTo(anyDescriptor, [
    own(
      "fd.num",
      "INT64",
      "Number of the descriptor; -1 when the call that makes it failed",
      ({ number }) => number,
    ),
    own("fd.type", "CHARBUF", "One of file, directory, ipv4, ipv6 and unix", ({ type }) => type),
    own("fd.typechar", "CHARBUF", "The type as one letter: f, d, 4, 6 or u", ({ type }) =>
      type === undefined ? undefined : typeChar(type),
    ),
    own(
      "fd.name",
      "CHARBUF",
      "Full path of a file, or the ends of a connection: records tell one of the two",
      ({ name }) => name,
    ),
    callField("fd.uid", "CHARBUF", "Numbers of process and descriptor, to tell descriptors apart", uniqueId),
  ]),
  ...limitedTo(files, [
    own("fd.directory", "CHARBUF", "Directory of the file", (fd) =>
      isFile(fd) && fd.name !== undefined ? directoryOf(fd.name) : undefined,
    ),
    own("fd.filename", "CHARBUF", "Name of the file without its directory", (fd) => {
      const path = fd.name ?? fd.nameRaw;
      return isFile(fd) && path !== undefined ? fileNameOf(path) : undefined;
    }),
    own("fd.nameraw", "CHARBUF", "Path of the file as the program wrote it", ({ nameRaw }) => nameRaw),
    own("fd.ino", "INT64", "Number of the file's inode", ({ inode }) => inode),
    own("fd.dev", "INT32", "Number of the device the file is on", ({ device }) =>
      device === undefined ? undefined : deviceNumber(device),
    ),
    own("fd.dev.major", "INT32", "Major number of the device the file is on", ({ device }) => device?.major),
    own("fd.dev.minor", "INT32", "Minor number of the device the file is on", ({ device }) => device?.minor),
  ]),
  ...limitedTo(sockets, [
    filterOnly("fd.ip", "IPADDR", "Address of either end of the connection", (fd) => either(fd, "Ip")),
    filterOnly("fd.port", "PORT", "Port of either end of the connection", (fd) => either(fd, "Port")),
    filterOnly("fd.net", "IPNET", "Network of either end of the connection", (fd) => either(fd, "Ip")),
    own("fd.rip", "IPADDR", "Address of the far end", (fd) => remote(fd, "Ip")),
    own("fd.rport", "PORT", "Port of the far end", (fd) => remote(fd, "Port")),
    filterOnly("fd.rnet", "IPNET", "Network of the far end", (fd) => remote(fd, "Ip")),
    own("fd.is_server", "BOOL", "Whether the process is the serving end", ({ isServer }) => isServer),
    own(
      "fd.l4proto",
      "CHARBUF",
      "One of tcp, udp, icmp and raw, where the making of the socket was recorded",
      (fd) => fd.l4proto,
    ),
    own("fd.sockfamily", "CHARBUF", "The family of the socket: ip or unix", ({ type }) => {
      if (type === "unix") return "unix";
      return type === "ipv4" || type === "ipv6" ? "ip" : undefined;
    }),
  ]),
  ...limitedTo(servers, [
    own("fd.sip", "IPADDR", "Address of the serving end", ({ serverIp }) => serverIp),
    own("fd.sport", "PORT", "Port of the serving end", ({ serverPort }) => serverPort),
    filterOnly("fd.snet", "IPNET", "Network of the serving end", ({ serverIp }) => serverIp),
  ]),
  ...limitedTo(clients, [
    own("fd.cip", "IPADDR", "Address of the calling end", ({ clientIp }) => clientIp),
    own("fd.cport", "PORT", "Port of the calling end", ({ clientPort }) => clientPort),
    filterOnly("fd.cnet", "IPNET", "Network of the calling end", ({ clientIp }) => clientIp),
  ]),
  ...limitedTo(has("first", "local", "accepted"), [
    own("fd.lip", "IPADDR", "Address of the own end, in calls that bind a socket", (fd) => local(fd, "Ip")),
    own("fd.lport", "PORT", "Port of the own end, in calls that bind a socket", (fd) => local(fd, "Port")),
    filterOnly("fd.lnet", "IPNET", "Network of the own end, in calls that bind a socket", (fd) =>
      local(fd, "Ip"),
    ),
  ]),
];

function uniqueId({ fd, process }: SyscallEvent): string | undefined {
  return fd?.number === undefined ? undefined : `${process.pid}${fd.number}`;
}

const withTwo = (type: string): boolean =>
  eventSpec(type).args.some(({ kind }) => kind === "old" || kind === "new" || kind === "second");
// Records of any other call may name a path.
const withOne = (type: string): boolean => !withTwo(type);

function pathField(
  name: string,
  doc: string,
  read: (event: SyscallEvent) => EventPath | undefined,
  part: "raw" | "full",
): FieldDefinition {
  return callField(name, "CHARBUF", doc, (event) => read(event)?.[part]);
}

/** Fields of the paths that a call names, whatever its arguments are called. */
export const pathFields: readonly FieldDefinition[] = [
  ...limitedTo(withOne, [
    pathField("fs.path.name", "Full path that the call works on", ({ path }) => path, "full"),
    pathField("fs.path.nameraw", "The same path as the program wrote it", ({ path }) => path, "raw"),
  ]),
  ...limitedTo(withTwo, [
    pathField(
      "fs.path.source",
      "Full path that is renamed, linked to or mounted",
      ({ source }) => source,
      "full",
    ),
    pathField("fs.path.sourceraw", "The same path as the program wrote it", ({ source }) => source, "raw"),
    pathField(
      "fs.path.target",
      "Full path that a rename, link or mount makes",
      ({ target }) => target,
      "full",
    ),
    pathField("fs.path.targetraw", "The same path as the program wrote it", ({ target }) => target, "raw"),
  ]),
];
