import type { RecordGroup } from "./join-records.ts";
import type { AuditRecord } from "./record.ts";
import { syscallsAarch64, syscallsX8664 } from "./syscall-numbers.ts";
import { type SocketAddress, parseSocketAddress } from "./sockaddr.ts";

/** A path of the records. */
export interface PathRecord {
  readonly name: string | undefined;
  /** PARENT, NORMAL, CREATE, DELETE or UNKNOWN. */
  readonly role: string;
  readonly inode: bigint | undefined;
  readonly device: { readonly major: bigint; readonly minor: bigint } | undefined;
  readonly mode: number | undefined;
}

/** The records of an event, taken apart by type. */
export interface Call {
  readonly group: RecordGroup;
  readonly node: string;
  readonly machine: string;
  readonly type: string;
  readonly result: bigint | undefined;
  readonly isFailed: boolean;
  /** The first four arguments as the machine held them; undefined where the record lacks them. */
  readonly argument: (index: number) => bigint | undefined;
  readonly field: (key: string) => string | undefined;
  readonly enriched: (key: string) => string | undefined;
  readonly cwd: string | undefined;
  readonly paths: readonly PathRecord[];
  readonly address: SocketAddress | undefined;
  /** The words of a new program. */
  readonly words: readonly string[] | undefined;
  /** The words of the process as it calls itself; the kernel cuts them at 128 bytes. */
  readonly title: readonly string[] | undefined;
  readonly openHow: { readonly flags: bigint; readonly mode: bigint; readonly resolve: string } | undefined;
}

const machines: ReadonlyMap<string, string> = new Map([
  ["c000003e", "x86_64"],
  ["c00000b7", "aarch64"],
]);
const x32 = 0x40000000;
/** Falco keeps so much of a command line. */
export const commandLineMax = 4096;
const wordsMax = commandLineMax;

/** Takes a group apart; a text says why it can not be understood. */
export function readCall(group: RecordGroup): Call | string {
  const { syscall, records } = group;
  const field = (key: string): string | undefined => syscall.fields.get(key);
  const arch = field("arch") ?? "";
  const machine = machines.get(arch) ?? syscall.enriched.get("ARCH") ?? arch;
  const type = nameOf(machine, field("syscall") ?? "", syscall.enriched.get("SYSCALL"));
  if (type === undefined) {
    return `event ${group.id}: system call ${field("syscall") ?? "?"} of machine ${machine || "?"} is not known`;
  }
  const result = decimal(field("exit"));
  const one = (kind: string): AuditRecord | undefined => records.find((record) => record.type === kind);
  const how = one("OPENAT2")?.fields;
  const title = one("PROCTITLE")?.fields.get("proctitle");
  const space = group.id.lastIndexOf(" ");
  return {
    group,
    node: space < 0 ? "" : group.id.slice(0, space),
    machine,
    type,
    result,
    isFailed: field("success") === "no" || (result !== undefined && result < 0n),
    argument: (index) => hexadecimal(field(`a${index}`)),
    field,
    enriched: (key) => syscall.enriched.get(key),
    cwd: one("CWD")?.fields.get("cwd"),
    paths: readPaths(records),
    address: parseSocketAddress(one("SOCKADDR")?.fields.get("saddr") ?? ""),
    words: readWords(records),
    title: title?.replace(/\0+$/, "").split("\0").slice(0, wordsMax),
    openHow:
      how === undefined
        ? undefined
        : {
            flags: octal(how.get("oflag")),
            mode: octal(how.get("mode")),
            resolve: how.get("resolve") ?? "0",
          },
  };
}

function nameOf(machine: string, number: string, enriched: string | undefined): string | undefined {
  const numbers = machine === "x86_64" ? syscallsX8664 : machine === "aarch64" ? syscallsAarch64 : undefined;
  if (numbers !== undefined && /^\d{1,10}$/.test(number)) {
    const value = Number(number);
    return numbers.get(machine === "x86_64" && value >= x32 ? value - x32 : value) ?? word(enriched);
  }
  // Some daemons write names in place of numbers.
  return word(enriched) ?? word(number);
}

function word(text: string | undefined): string | undefined {
  return text !== undefined && /^[a-z_][a-z0-9_]{0,40}$/.test(text) ? text : undefined;
}

function decimal(text: string | undefined): bigint | undefined {
  return text !== undefined && /^-?\d{1,20}$/.test(text) ? BigInt(text) : undefined;
}

function hexadecimal(text: string | undefined): bigint | undefined {
  return text !== undefined && /^[0-9a-fA-F]{1,16}$/.test(text) ? BigInt(`0x${text}`) : undefined;
}

function octal(text: string | undefined): bigint {
  return text !== undefined && /^[0-7]{1,22}$/.test(text) ? BigInt(`0o${text}`) : 0n;
}

function readPaths(records: readonly AuditRecord[]): readonly PathRecord[] {
  return records
    .filter(({ type }) => type === "PATH")
    .sort((a, b) => Number(a.fields.get("item") ?? 0) - Number(b.fields.get("item") ?? 0))
    .map(({ fields }) => {
      const device = /^([0-9a-f]{1,8}):([0-9a-f]{1,8})$/.exec(fields.get("dev") ?? "");
      const mode = fields.get("mode") ?? "";
      return {
        // A call on a descriptor itself names no path.
        name: fields.get("name") || undefined,
        role: fields.get("nametype") ?? fields.get("objtype") ?? "NORMAL",
        inode: decimal(fields.get("inode")),
        device:
          device === null ? undefined : { major: BigInt(`0x${device[1]}`), minor: BigInt(`0x${device[2]}`) },
        mode: /^[0-7]{1,9}$/.test(mode) ? Number.parseInt(mode, 8) : undefined,
      };
    });
}

/** The words of EXECVE records: long commands take several records, long words several pieces. */
function readWords(records: readonly AuditRecord[]): readonly string[] | undefined {
  const all = new Map<string, string>();
  let count: number | undefined;
  for (const { type, fields } of records) {
    if (type !== "EXECVE") continue;
    for (const [key, value] of fields) {
      if (key === "argc") count = Number(value);
      else all.set(key, value);
    }
  }
  if (count === undefined || !Number.isInteger(count)) return undefined;
  const words: string[] = [];
  let left = commandLineMax;
  for (let i = 0; i < Math.min(count, wordsMax) && left > 0; i++) {
    const word = all.get(`a${i}`) ?? joinPieces(all, i);
    // A missing record must not shift the words behind it.
    words.push(word.slice(0, left));
    left -= word.length + 1;
  }
  return words;
}

function joinPieces(all: ReadonlyMap<string, string>, index: number): string {
  let word = "";
  for (let piece = 0; word.length < commandLineMax; piece++) {
    const part = all.get(`a${index}[${piece}]`);
    if (part === undefined) break;
    word += part;
  }
  return word;
}
