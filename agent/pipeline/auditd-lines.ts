import { createAuditRecordReader, readAuditHead } from "#engine";
import type { AuditRecordHead, AuditRecords } from "#engine";
import { JsonText } from "./json-text.ts";
import { repaired, settle } from "./line-parser.ts";
import type { HeldBytes, Line, LineParser, ParserOptions, Piece, RecordSink } from "./line-parser.ts";
import { isBlank } from "./plain-lines.ts";

/** Lines of one event, as far as they are there. */
interface Event {
  readonly head: AuditRecordHead;
  readonly pieces: Piece[];
  readonly lines: Buffer[];
  readonly types: Set<string>;
  size: number;
  /** How many PATH lines the call has, as its SYSCALL line tells, and how many there are. */
  items: number | undefined;
  paths: number;
}

/** Events of several processors interleave; so many may be open at once before the oldest is taken as complete. */
const openMax = 16;
const linesMax = 256;
const sizeMax = 512 * 1024;
/** An event this much older than the newest gets no further line. */
const ageMaxNs = 2_000_000_000n;
/** How far to look back for who started whom, when reading goes on in the middle of a log. */
const warmUpBytes = 1024 * 1024;

/** Written by daemons and libraries, one line an event; what the kernel writes may have companions. */
const alone = /^(?:USER|CRED|GRP|ACCT|ADD|DEL|ROLE|SERVICE|SYSTEM|DAEMON|CRYPTO|CHUSER|CHGRP|VIRT|SOFTWARE)_/;

/**
 * The Linux audit log. Lines of one event, which share time and serial number and may be interleaved with others, become
 * one record `{"time", "serial", "node", "types", "log"}`, where `log` holds the lines as they are. An event ends with EOE,
 * or with PROCTITLE when all its paths are there, or as soon as later ones tell that nothing more will come.
 */
export class AuditdLines implements LineParser {
  readonly idleMs: number = 2000;
  readonly #held: HeldBytes;
  readonly #open = new Map<string, Event>();
  readonly #reader = createAuditRecordReader();
  readonly #text = new JsonText();
  #newestNs = 0n;
  #isWarm = false;

  constructor(options: ParserOptions) {
    this.#held = options.held;
  }

  get isWaiting(): boolean {
    return this.#open.size > 0;
  }

  take(line: Line, sink: RecordSink): boolean {
    const { start, end } = line;
    if (isBlank(line.bytes, start, end)) return true;
    const head = readAuditHead(line.bytes.toString("utf8", start, Math.min(end, start + 1024)));
    if (head === undefined) {
      const bytes = line.bytes.subarray(start, end);
      sink.park("not-audit-log", "the line is no record of the Linux audit log", bytes, line);
      return true;
    }
    // An end whose event is complete already says nothing.
    if (head.type === "EOE" && !this.#open.has(head.id)) return true;
    this.#warmUp(line, sink);
    const event = this.#keep(line, head);
    if (this.#isEnd(event, head.type)) this.#give(event, sink);
    if (head.timeNs > this.#newestNs) this.#newestNs = head.timeNs;
    for (const one of this.#open.values()) {
      const isOld = one.head.timeNs + ageMaxNs < this.#newestNs;
      if (!isOld && this.#open.size <= openMax && this.#held.now <= this.#held.max) break;
      this.#give(one, sink);
    }
    return false;
  }

  flush(sink: RecordSink): void {
    for (const event of this.#open.values()) this.#give(event, sink);
  }

  reset(): void {
    for (const event of this.#open.values()) this.#held.now -= event.size;
    this.#open.clear();
  }

  timeOf(bytes: Buffer, start: number, end: number): number | undefined {
    const head = readAuditHead(bytes.toString("utf8", start, Math.min(end, start + 1024)));
    return head === undefined ? undefined : Number(head.timeNs / 1_000_000n);
  }

  #keep(line: Line, head: AuditRecordHead): Event {
    const bytes = line.isUtf8
      ? Buffer.from(line.bytes.subarray(line.start, line.end))
      : repaired(line.bytes, line.start, line.end);
    let event = this.#open.get(head.id);
    if (event === undefined) {
      event = { head, pieces: [], lines: [], types: new Set(), size: 0, items: undefined, paths: 0 };
      this.#open.set(head.id, event);
    }
    event.pieces.push({ file: line.file, from: line.from, to: line.to });
    event.lines.push(bytes);
    event.types.add(head.type);
    event.size += bytes.length;
    this.#held.now += bytes.length;
    if (head.type === "PATH") event.paths++;
    if (head.type === "SYSCALL") {
      event.items = Number(/ items=(\d{1,4})(?: |$)/.exec(bytes.toString("latin1"))?.[1] ?? 0);
    }
    return event;
  }

  /** The title is the last thing that the kernel writes of an event before EOE, which auditd leaves out of its files. */
  #isEnd(event: Event, type: string): boolean {
    if (type === "EOE" || event.lines.length >= linesMax || event.size >= sizeMax) return true;
    if (alone.test(type)) return true;
    if (type !== "PROCTITLE" || event.items === undefined) return false;
    return event.paths >= event.items && (event.paths === 0 || event.types.has("CWD"));
  }

  #give(event: Event, sink: RecordSink): void {
    const [first] = event.pieces;
    this.#open.delete(event.head.id);
    this.#held.now -= event.size;
    if (first !== undefined) {
      this.#write(event);
      const syscalls = sink.wantsSyscalls ? this.#reader.readEvent(event.lines.map(String)) : nobodyLooks;
      sink.record(this.#text.bytes, 0, this.#text.length, first, syscalls);
    }
    settle(event.pieces);
  }

  #write({ head, lines, types }: Event): void {
    const node = /^(\S+) \d/.exec(head.id)?.[1];
    const known = {
      time: new Date(Number(head.timeNs / 1_000_000n)).toISOString(),
      serial: head.serial,
      ...(node === undefined ? {} : { node }),
      types: [...types],
    };
    const json = this.#text;
    json.reset();
    json.put(Buffer.from(JSON.stringify(known).slice(0, -1)));
    json.put(logKey);
    for (const [index, line] of lines.entries()) {
      if (index > 0) json.put(newline);
      json.putEscaped(line, 0, line.length);
    }
    json.put(logEnd);
  }

  /**
   * Rules ask who started a program. What was read before a restart is forgotten, so that the last events before the
   * position are looked at again, without alerts.
   */
  #warmUp(line: Line, sink: RecordSink): void {
    if (this.#isWarm || !sink.wantsSyscalls) return;
    this.#isWarm = true;
    if (line.from === 0) return;
    const lines = line.file.before(line.from, warmUpBytes).toString("utf8").split("\n");
    // The first one is half a line, unless it is the file's.
    for (const old of lines.slice(line.from > warmUpBytes ? 1 : 0)) this.#reader.read(old);
    this.#reader.flush();
  }
}

const nobodyLooks: AuditRecords = { events: [], problems: [] };
const logKey = Buffer.from(',"log":"');
const newline = Buffer.from("\\n");
const logEnd = Buffer.from('"}');
