import type { AuditRecord } from "./record.ts";

/** The records of one event; there is always one of type SYSCALL. */
export interface RecordGroup {
  readonly id: string;
  readonly timeNs: bigint;
  readonly syscall: AuditRecord;
  readonly records: readonly AuditRecord[];
}

export interface Joined {
  readonly groups: readonly RecordGroup[];
  readonly problems: readonly string[];
}

/** Types that say something about a system call; others are passed over. */
const wanted: ReadonlySet<string> = new Set([
  "SYSCALL",
  "EXECVE",
  "PATH",
  "CWD",
  "SOCKADDR",
  "PROCTITLE",
  "OPENAT2",
  "KERN_MODULE",
  "EOE",
]);

/** Events of several processors interleave; so many may be open at once before the oldest is taken as complete. */
const openMax = 16;
const recordsMax = 256;
const textMax = 512 * 1024;
const closedMax = 1024;
/** An event this much older than the newest gets no further record. */
const ageMaxNs = 2_000_000_000n;

interface Open {
  readonly timeNs: bigint;
  readonly records: AuditRecord[];
  size: number;
  isCut: boolean;
}

/** The group that records of one event make, within the same bounds; none when no record says anything of a system call. */
export function groupRecords(all: readonly AuditRecord[]): Joined {
  const records = all.filter(({ type }) => wanted.has(type) && type !== "EOE").slice(0, recordsMax);
  const [first] = records;
  if (first === undefined) return { groups: [], problems: [] };
  const { id, timeNs } = first;
  const syscall = records.find(({ type }) => type === "SYSCALL");
  if (syscall === undefined) return { groups: [], problems: [withoutCall(id)] };
  return { groups: [{ id, timeNs, syscall, records }], problems: [] };
}

function withoutCall(id: string): string {
  return `event ${id} has no SYSCALL record and is left out`;
}

/**
 * Joins records by serial number. An event ends with EOE, or with PROCTITLE once all its paths are there, or when
 * enough later ones have begun: auditd leaves EOE out of its files. Memory is bounded whatever comes in.
 */
export class RecordJoiner {
  private readonly open: Map<string, Open>;
  private readonly closed: Set<string>;
  private newestNs: bigint;

  constructor() {
    this.open = new Map();
    this.closed = new Set();
    this.newestNs = 0n;
  }

  /** Takes one record and gives the events that are complete now, in the order in which they began. */
  add(record: AuditRecord): Joined {
    const groups: RecordGroup[] = [];
    const problems: string[] = [];
    if (!wanted.has(record.type)) return { groups, problems };
    if (this.closed.has(record.id)) {
      if (record.type === "EOE") return { groups, problems };
      return { groups, problems: [`${record.type} record of event ${record.id} came after the event's end`] };
    }
    if (record.type !== "EOE") this.keep(record, problems);
    if (this.isEnd(record)) this.close(record.id, groups, problems);
    if (record.timeNs > this.newestNs) this.newestNs = record.timeNs;
    for (const [id, { timeNs }] of this.open) {
      if (this.open.size <= openMax && timeNs + ageMaxNs >= this.newestNs) break;
      this.close(id, groups, problems);
    }
    return { groups, problems };
  }

  /** Gives what is still open: at the end of the input, or when nothing has come for a while. */
  flush(): Joined {
    const groups: RecordGroup[] = [];
    const problems: string[] = [];
    for (const id of this.open.keys()) this.close(id, groups, problems);
    return { groups, problems };
  }

  private keep(record: AuditRecord, problems: string[]): void {
    let event = this.open.get(record.id);
    if (event === undefined) {
      event = { timeNs: record.timeNs, records: [], size: 0, isCut: false };
      this.open.set(record.id, event);
    }
    let size = 0;
    for (const [key, value] of record.fields) size += key.length + value.length;
    if (event.records.length >= recordsMax || event.size + size > textMax) {
      if (!event.isCut) problems.push(`event ${record.id} has too many records: the rest is left out`);
      event.isCut = true;
      return;
    }
    event.size += size;
    event.records.push(record);
  }

  /** The title is the last thing the kernel writes of an event before EOE. */
  private isEnd({ type, id }: AuditRecord): boolean {
    if (type !== "PROCTITLE") return type === "EOE";
    const records = this.open.get(id)?.records ?? [];
    const syscall = records.find((record) => record.type === "SYSCALL");
    if (syscall === undefined) return false;
    const paths = records.filter((record) => record.type === "PATH").length;
    const isPlaced = paths === 0 || records.some((record) => record.type === "CWD");
    return isPlaced && paths >= Number(syscall.fields.get("items") ?? 0);
  }

  private close(id: string, groups: RecordGroup[], problems: string[]): void {
    const event = this.open.get(id);
    this.open.delete(id);
    this.closed.add(id);
    if (this.closed.size > closedMax) {
      for (const oldest of this.closed) {
        this.closed.delete(oldest);
        break;
      }
    }
    if (event === undefined) return;
    const syscall = event.records.find(({ type }) => type === "SYSCALL");
    if (syscall === undefined) problems.push(withoutCall(id));
    else groups.push({ id, timeNs: event.timeNs, syscall, records: event.records });
  }
}
