import type { AuditRecords } from "#engine";
import type { LineFormat } from "#shipper";
import { AuditdLines } from "./auditd-lines.ts";
import { ContainerLines } from "./container-lines.ts";
import { JsonLines, TextLines } from "./plain-lines.ts";
import type { Progress } from "./progress.ts";

/** The file that a line comes from. */
export interface LineFile {
  /** Where it is now. */
  readonly path: string;
  /** The configured path that it belongs to. */
  readonly base: string;
  /** With `origin` and an offset it names a record, also when the file is renamed, copied or compressed. */
  readonly identity: number;
  readonly origin: string;
  readonly progress: Progress;
  /** At most `length` bytes that stand before an offset. */
  before(offset: number, length: number): Buffer;
}

/** Bytes of a file, line break included. */
export interface Piece {
  readonly file: LineFile;
  readonly from: number;
  readonly to: number;
}

/** A line as it was read: `bytes` from `start` to `end`, without its line break. The bytes are valid during the call. */
export interface Line extends Piece {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  readonly isUtf8: boolean;
}

/** Why something was set aside; names counters, so that it is never changed. */
export type ParkReason = "not-json" | "multi-line-json" | "not-container-log" | "not-audit-log" | "too-long";

/** Where parsers put what they made of lines. */
export interface RecordSink {
  /** Whether rules of source `syscall` look at the records. */
  readonly wantsSyscalls: boolean;
  /**
   * A JSON object; `first` is where its first line stands. Set aside when it is no JSON object after all. `syscalls`: what
   * rules of source `syscall` are to look at instead of the record.
   */
  record(bytes: Buffer, start: number, end: number, first: Piece, syscalls?: AuditRecords): void;
  /** What cannot become a record, as it was read. */
  park(reason: ParkReason, why: string, bytes: Buffer, first: Piece): void;
}

/** Makes records of the lines of one path, over all its files. */
export interface LineParser {
  /**
   * Takes a line. When it is done with it (a record was made, it was set aside, or it holds nothing), true; false when it
   * waits here for its rest: then the parser notes its bytes as done later.
   */
  take(line: Line, sink: RecordSink): boolean;
  /** Gives what still waits as it is. */
  flush(sink: RecordSink): void;
  /** Forgets what waits: it will be read again. */
  reset(): void;
  readonly isWaiting: boolean;
  /** After so long without a further line what waits is given as it is. */
  readonly idleMs: number;
  /** The event time (ms since the epoch) that a line tells. */
  timeOf(bytes: Buffer, start: number, end: number): number | undefined;
}

export interface ParserOptions {
  readonly lineBytesMax: number;
  readonly skipEmptyLines: boolean;
  /** Bytes that wait in all parsers of an input. */
  readonly held: HeldBytes;
}

/** Bounds what all parsers of an input hold together. */
export interface HeldBytes {
  now: number;
  readonly max: number;
}

export function newParser(format: LineFormat, options: ParserOptions): LineParser {
  switch (format.kind) {
    case "text":
      return new TextLines(format.key, options.skipEmptyLines);
    case "json":
      return new JsonLines();
    case "container":
      return new ContainerLines(format, options);
    case "auditd":
      return new AuditdLines(options);
  }
}

/** Notes the lines of a record as done. */
export function settle(pieces: readonly Piece[]): void {
  for (const { file, from, to } of pieces) file.progress.add(from, to);
}

/**
 * What is no UTF-8 is no JSON either. As JSON readers do, the bytes in question become U+FFFD. A line break follows what is
 * given, as it does in a file.
 */
export function repaired(bytes: Buffer, start: number, end: number): Buffer {
  return Buffer.from(`${bytes.toString("utf8", start, end)}\n`).subarray(0, -1);
}
