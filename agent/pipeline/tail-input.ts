import { isUtf8 } from "node:buffer";
import * as fs from "node:fs";
import type { TailConfig } from "#shipper";
import type { DeadLetter, ParkedLine } from "./dead-letter.ts";
import { writeAllSync } from "./files.ts";
import { countParked } from "./input.ts";
import type { Input, InputContext, InputReport } from "./input.ts";
import type { Mark } from "./mark.ts";
import type { Router } from "./router.ts";
import { RecordScanner } from "./scan.ts";
import { ReadBuffer, longName } from "./tail-file.ts";
import type { Chunk, LongChunk, TailFile } from "./tail-file.ts";
import type { TailFiles } from "./tail-files.ts";

/** `tail`: whole lines of files, one chunk a turn. */
export class TailInput implements Input {
  readonly config: TailConfig;
  readonly #files: TailFiles;
  readonly #deadLetter: DeadLetter;
  readonly #context: InputContext;
  readonly #buffers = new ReadBuffer();
  readonly #scanner = new RecordScanner();
  readonly #startedMs: number;
  /** Event time of the last record that was read, ms since the epoch. */
  #lastEventMs: number | undefined;
  #lastError: string | undefined;
  /** What the last turn read. */
  #read: { readonly file: TailFile; readonly consumed: number } | undefined;

  constructor(
    config: TailConfig,
    files: TailFiles,
    deadLetter: DeadLetter,
    context: InputContext,
    nowMs: number,
  ) {
    this.config = config;
    this.#files = files;
    this.#deadLetter = deadLetter;
    this.#context = context;
    this.#startedMs = nowMs;
  }

  poll(nowMs: number): void {
    this.#files.poll(nowMs);
  }

  /** Reads at most one chunk of the first file that has something. */
  turn(router: Router, nowMs: number): boolean {
    this.#read = undefined;
    for (const file of this.#files.files) {
      const isFinal = this.#files.isFinal(file, nowMs);
      const reading = file.read(this.#buffers, this.config, this.#deadLetter, isFinal);
      switch (reading.kind) {
        case "nothing":
          break;
        case "busy":
          return true;
        case "truncated":
          this.#files.truncated(file, nowMs);
          return true;
        case "long":
          this.#long(file, reading);
          this.#read = { file, consumed: reading.consumed };
          return true;
        case "lines":
          this.#lines(file, reading, router, nowMs);
          this.#read = { file, consumed: reading.consumed };
          return true;
      }
    }
    return false;
  }

  commit(): void {
    this.#read?.file.advance(this.#read.consumed);
    this.#read = undefined;
  }

  rollback(): void {
    this.#read = undefined;
  }

  marks(): readonly Mark[] {
    return this.#files.marks();
  }

  saved(): void {}

  report(): InputReport {
    const atEnd = this.#files.files.every((file) => file.isAtEnd);
    return {
      ...this.#context.counters,
      alias: this.config.alias,
      plugin: this.config.plugin,
      oldestMs: atEnd ? undefined : (this.#lastEventMs ?? this.#startedMs),
      filesOpen: this.#files.files.length,
      filesFailing: 0,
      atEnd,
      ended: false,
      lastError: this.#lastError,
    };
  }

  close(): void {
    this.#files.close();
  }

  #lines(file: TailFile, chunk: Chunk, router: Router, nowMs: number): void {
    const { buffer, length } = chunk;
    const allUtf8 = isUtf8(buffer.subarray(0, length));
    const tag = this.config.tag.replaceAll("*", file.base.replace(/^\//, "").replaceAll("/", "."));
    const timeMs = eventTime(buffer, 0, length) ?? nowMs;
    const position = { inode: file.inode, origin: file.origin, offset: chunk.offset };
    for (let start = 0; start < length;) {
      const newline = buffer.indexOf(0x0a, start);
      const end = buffer[newline - 1] === 0x0d && newline > start ? newline - 1 : newline;
      position.offset = chunk.offset + start;
      this.#context.counters.bytes += newline + 1 - start;
      if (end - start > this.config.lineBytesMax) this.#parkLong(file, position.offset, buffer, start, end);
      else if (allUtf8 || isUtf8(buffer.subarray(start, end))) {
        this.#line(file, router, tag, buffer, start, end, timeMs, position);
      } else {
        // What is no UTF-8 is no JSON either. As JSON readers do, the bytes in question become U+FFFD.
        const repaired = Buffer.from(buffer.toString("utf8", start, end));
        this.#line(file, router, tag, repaired, 0, repaired.length, timeMs, position);
      }
      start = newline + 1;
    }
    const lastStart = buffer.lastIndexOf(0x0a, length - 2) + 1;
    this.#lastEventMs = eventTime(buffer, Math.min(lastStart, length), length) ?? nowMs;
  }

  #line(
    file: TailFile,
    router: Router,
    tag: string,
    bytes: Buffer,
    start: number,
    end: number,
    timeMs: number,
    position: { readonly inode: number; readonly origin: string; readonly offset: number },
  ): void {
    let [source, from, to] = [bytes, start, end];
    if (this.config.parser === "text") {
      if (end === start && this.config.skipEmptyLines) return;
      const record = { [this.config.key]: bytes.toString("utf8", start, end) };
      source = Buffer.from(JSON.stringify(record));
      [from, to] = [0, source.length];
    } else if (isBlank(bytes, start, end)) return;
    if (this.#scanner.scan(source, from, to)) {
      this.#context.counters.records++;
      router.record(tag, source, from, to, this.#scanner, timeMs, position);
      return;
    }
    countParked(this.#context.counters, "not-json");
    const about = this.#about(
      file,
      position.offset,
      end - start,
      `the line is not a record: ${this.#scanner.why}`,
    );
    this.#deadLetter.park(bytes.subarray(start, end), about);
  }

  #parkLong(file: TailFile, offset: number, buffer: Buffer, start: number, end: number): void {
    const name = longName(file, offset);
    const fd = this.#deadLetter.openLong(name);
    try {
      writeAllSync(fd, [buffer.subarray(start, end)]);
      fs.fdatasyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    this.#countLong();
    this.#deadLetter.addBytes(end - start);
    this.#deadLetter.parkFile(name, this.#about(file, offset, end - start, this.#tooLong()));
  }

  #long(file: TailFile, reading: LongChunk): void {
    this.#deadLetter.addBytes(reading.consumed);
    this.#countLong();
    this.#context.counters.bytes += reading.consumed;
    this.#deadLetter.parkFile(
      reading.name,
      this.#about(file, reading.offset, reading.consumed, this.#tooLong()),
    );
  }

  #countLong(): void {
    this.#context.counters.longLines++;
    countParked(this.#context.counters, "too-long");
  }

  #tooLong(): string {
    return `the line is longer than ${this.config.lineBytesMax} bytes (buffer_max_size)`;
  }

  #about(file: TailFile, offset: number, length: number, reason: string): ParkedLine {
    return { reason, tag: this.config.tag, source: { path: file.path, inode: file.inode, offset, length } };
  }
}

function isBlank(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const byte = bytes[at];
    if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d) return false;
  }
  return true;
}

const timeKeys = ['"stageTimestamp":"', '"requestReceivedTimestamp":"'].map((key) => Buffer.from(key));

/** The time that an audit event gives, of the first event between two offsets. */
function eventTime(buffer: Buffer, start: number, end: number): number | undefined {
  const lineEnd = buffer.indexOf(0x0a, start);
  const line = buffer.subarray(start, lineEnd === -1 ? end : Math.min(lineEnd, end));
  for (const key of timeKeys) {
    const at = line.lastIndexOf(key);
    if (at === -1) continue;
    const ms = Date.parse(line.toString("latin1", at + key.length, line.indexOf(0x22, at + key.length)));
    if (!Number.isNaN(ms)) return ms;
  }
  return undefined;
}
