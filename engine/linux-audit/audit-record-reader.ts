import { decodeEvent } from "./decode-event.ts";
import type { KnownNames } from "./event-arguments.ts";
import { groupRecords, type Joined, RecordJoiner } from "./join-records.ts";
import { ProcessTable } from "./process-table.ts";
import { parseRecord } from "./record.ts";
import type { SyscallEvent } from "./syscall-event.ts";

export interface AuditRecordReaderOptions {
  /** Names of users by number, as in /etc/passwd of the machine the records come from. */
  readonly users?: ReadonlyMap<number, string>;
  readonly groups?: ReadonlyMap<number, string>;
}

/** The events that are complete now, and why others, or lines, were dropped. */
export interface AuditRecords {
  readonly events: readonly SyscallEvent[];
  readonly problems: readonly string[];
}

export interface AuditRecordReader {
  /** Takes one line. Never throws, whatever the line, and keeps a bounded amount of memory. */
  readonly read: (line: string) => AuditRecords;
  /**
   * Takes all lines of one event, put together elsewhere, and keeps none of them open: an event that comes again, as after
   * a restart, is read again. Lines that say nothing of a system call give no event and are no problem.
   */
  readonly readEvent: (lines: readonly string[]) => AuditRecords;
  /** Gives the events still open: call it at the end of input, or when nothing has come for a while. */
  readonly flush: () => AuditRecords;
}

const noNames: KnownNames = { users: new Map(), groups: new Map() };

/**
 * Turns lines of the Linux audit log, raw or enriched, into system call events. Records of one event may be
 * interleaved with others. Parents and sockets are known as far as earlier records of the same reader told of them.
 */
export function createAuditRecordReader(options: AuditRecordReaderOptions = {}): AuditRecordReader {
  const joiner = new RecordJoiner();
  const table = new ProcessTable();
  const names = { ...noNames, ...options };
  const decode = ({ groups, problems }: Joined): AuditRecords => {
    const events: SyscallEvent[] = [];
    const all = [...problems];
    for (const group of groups) {
      const event = decodeEvent(group, table, names);
      if (typeof event === "string") all.push(event);
      else events.push(event);
    }
    return { events, problems: all };
  };
  return {
    read: (line) => {
      const text = line.trimEnd();
      // ausearch writes such a line between events.
      if (text === "" || text === "----" || text.startsWith("time->")) return { events: [], problems: [] };
      const outcome = parseRecord(text);
      return outcome.ok ? decode(joiner.add(outcome.record)) : { events: [], problems: [outcome.problem] };
    },
    readEvent: (lines) => {
      const outcomes = lines.map((line) => parseRecord(line.trimEnd()));
      const records = outcomes.flatMap((outcome) => (outcome.ok ? [outcome.record] : []));
      const problems = outcomes.flatMap((outcome) => (outcome.ok ? [] : [outcome.problem]));
      const joined = groupRecords(records);
      return decode({ groups: joined.groups, problems: [...problems, ...joined.problems] });
    },
    flush: () => decode(joiner.flush()),
  };
}
