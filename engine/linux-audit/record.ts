import { decodeUtf8 } from "../utf8.ts";

/** One line of the Linux audit system. */
export interface AuditRecord {
  /** Such as SYSCALL or PATH. */
  readonly type: string;
  /** Records of one event share it: node, time and serial number. */
  readonly id: string;
  readonly serial: number;
  readonly timeNs: bigint;
  /** Values by key, quotes removed and hexadecimal text decoded; the kernel's words for nothing are left out. */
  readonly fields: ReadonlyMap<string, string>;
  /** What auditd added: names for numbers, by key in upper case. Empty in raw records. */
  readonly enriched: ReadonlyMap<string, string>;
}

export type RecordOutcome =
  | { readonly ok: true; readonly record: AuditRecord }
  | { readonly ok: false; readonly problem: string };

/** The kernel's records are below 9 KiB; auditd adds names. */
const lineLengthMax = 65_536;
/** A record of a command with many short words has one for each; the line's length bounds them. */
const fieldsMax = 8192;

/** Types the kernel gives as numbers where no daemon names them. */
const typeNames: ReadonlyMap<string, string> = new Map([
  ["1300", "SYSCALL"],
  ["1302", "PATH"],
  ["1306", "SOCKADDR"],
  ["1307", "CWD"],
  ["1309", "EXECVE"],
  ["1320", "EOE"],
  ["1327", "PROCTITLE"],
  ["1330", "KERN_MODULE"],
  ["1337", "OPENAT2"],
]);

const head =
  /^(?:.{0,256}?\baudit: )?(?:node=(\S{1,255}) )?type=(?:UNKNOWN\[)?(\w{1,32})\]? (?:msg=)?audit\((\d{1,12})\.(\d{3}):(\d{1,15})\): ?/;

/** Keys whose values are text that users can choose, so that the kernel writes it as hexadecimal when in doubt. */
const untrusted = /^(?:comm|exe|name|cwd|proctitle|key|a\d+(?:\[\d+\])?)$/;

/** What the beginning of a record says. */
export type AuditRecordHead = Pick<AuditRecord, "type" | "id" | "serial" | "timeNs">;

/** Reads the beginning of a line alone, which tells the event that it belongs to; undefined when it is no record. */
export function readAuditHead(line: string): AuditRecordHead | undefined {
  return headOf(head.exec(line));
}

function headOf(found: RegExpExecArray | null): AuditRecordHead | undefined {
  if (found === null) return undefined;
  const [, node = "", type = "", seconds = "0", millis = "0", serial = "0"] = found;
  return {
    type: typeNames.get(type) ?? type,
    id: `${node} ${seconds}.${millis}:${serial}`.trimStart(),
    serial: Number(serial),
    timeNs: BigInt(seconds) * 1_000_000_000n + BigInt(millis) * 1_000_000n,
  };
}

/** Reads one record, raw or enriched, as auditd or the kernel's own log writes it. Never throws. */
export function parseRecord(line: string): RecordOutcome {
  if (line.length > lineLengthMax) {
    return { ok: false, problem: `record dropped: longer than ${lineLengthMax} characters` };
  }
  const found = head.exec(line);
  const read = headOf(found);
  if (found === null || read === undefined) {
    return { ok: false, problem: `not a Linux audit record: '${line.slice(0, 64)}'` };
  }
  const body = line.slice(found[0].length);
  const split = body.indexOf("\u001d");
  const fields = new Map<string, string>();
  // In a SYSCALL record a0 to a3 are numbers; in EXECVE they are the words of the command.
  const isText = (key: string): boolean =>
    untrusted.test(key) && (read.type === "EXECVE" || !/^a\d/.test(key));
  readPairs(split < 0 ? body : body.slice(0, split), fields, isText);
  const enriched = new Map<string, string>();
  if (split >= 0) readPairs(body.slice(split + 1), enriched, () => false);
  return { ok: true, record: { ...read, fields, enriched } };
}

/** The kernel's words for nothing. In quotes they are names that somebody chose. */
const nothing: ReadonlySet<string> = new Set(["", "?", "(null)"]);

function readPairs(text: string, into: Map<string, string>, isText: (key: string) => boolean): void {
  let at = 0;
  while (at < text.length && into.size < fieldsMax) {
    if (text.charCodeAt(at) <= 32 || text.charAt(at) === "{" || text.charAt(at) === "}") {
      at++;
      continue;
    }
    const end = valueEnd(text, at);
    const equals = text.indexOf("=", at);
    if (equals > at && equals < end) {
      const key = text.slice(at, equals);
      const value = text.slice(equals + 1, end);
      // The first one counts: what comes later may be text of the user's own making.
      if (key.length <= 64 && !into.has(key) && !nothing.has(value)) into.set(key, plain(value, isText(key)));
    }
    at = end + 1;
  }
}

/** Where a pair ends: at a blank outside of quotes. `SADDR={` ends at its brace, so that its members are pairs too. */
function valueEnd(text: string, from: number): number {
  const blank = text.indexOf(" ", from);
  const end = blank < 0 ? text.length : blank;
  const equals = text.indexOf("=", from);
  if (equals < 0 || equals > end) return end;
  const quote = text.charAt(equals + 1);
  if (quote === "{") return equals + 1;
  if (quote !== '"' && quote !== "'") return end;
  const close = text.indexOf(quote, equals + 2);
  return close < 0 ? text.length : close + 1;
}

function plain(value: string, isText: boolean): string {
  const quote = value.charAt(0);
  if (quote === '"' || quote === "'") {
    return value.endsWith(quote) && value.length > 1 ? value.slice(1, -1) : value.slice(1);
  }
  return isText ? (decodeHex(value) ?? value) : value;
}

/** Text from hexadecimal digits; undefined when it is something else. */
export function decodeHex(value: string): string | undefined {
  const bytes = hexBytes(value);
  return bytes === undefined ? undefined : decodeUtf8(bytes);
}

/** Bytes from hexadecimal digits; undefined when the text is something else. */
export function hexBytes(value: string): number[] | undefined {
  if (value.length === 0 || value.length % 2 !== 0 || !/^[0-9A-Fa-f]+$/.test(value)) return undefined;
  const bytes: number[] = [];
  for (let i = 0; i < value.length; i += 2) bytes.push(Number.parseInt(value.slice(i, i + 2), 16));
  return bytes;
}
