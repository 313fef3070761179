import * as fs from "node:fs";
import type { AuditRecords } from "#engine";
import type { ParkedLine, Parking } from "./dead-letter.ts";
import { writeAllSync } from "./files.ts";
import { countParked } from "./input.ts";
import type { InputContext } from "./input.ts";
import { JsonText } from "./json-text.ts";
import type { Line, ParkReason, Piece, RecordSink } from "./line-parser.ts";
import { isPieceOfJson } from "./plain-lines.ts";
import type { Router } from "./router.ts";
import { RecordScanner } from "./scan.ts";
import { longName } from "./tail-file.ts";

export interface SinkOptions {
  readonly alias: string;
  readonly pathKey: string | undefined;
  readonly offsetKey: string | undefined;
}

/** Takes records to the router, with place and count, and what is none to the dead letters. */
export class LineSink implements RecordSink {
  readonly #options: SinkOptions;
  readonly #deadLetter: Parking;
  readonly #context: InputContext;
  readonly #scanner = new RecordScanner();
  readonly #extended = new JsonText();
  #router: Router | undefined;
  #tag = "";
  #timeMs = 0;

  constructor(options: SinkOptions, deadLetter: Parking, context: InputContext) {
    this.#options = options;
    this.#deadLetter = deadLetter;
    this.#context = context;
  }

  /** From now on records are of this tag and time. */
  begin(router: Router, tag: string, timeMs: number): void {
    this.#router = router;
    this.#tag = tag;
    this.#timeMs = timeMs;
  }

  get wantsSyscalls(): boolean {
    return this.#router?.looksAtSyscalls(this.#tag) === true;
  }

  record(bytes: Buffer, start: number, end: number, first: Piece, syscalls?: AuditRecords): void {
    if (!this.#scanner.scan(bytes, start, end)) return this.#notJson(bytes.subarray(start, end), first);
    this.#context.counters.records++;
    const { identity, origin } = first.file;
    const position = {
      inode: identity,
      origin,
      offset: first.from,
      ...(syscalls === undefined ? {} : { syscalls }),
    };
    const { pathKey, offsetKey } = this.#options;
    if (pathKey === undefined && offsetKey === undefined) {
      this.#router?.record(this.#tag, bytes, start, end, this.#scanner, this.#timeMs, position);
      return undefined;
    }
    this.#extend(bytes, first);
    const { bytes: more, length } = this.#extended;
    if (!this.#scanner.scan(more, 0, length)) throw new Error(`Keys broke a record: ${this.#scanner.why}`);
    this.#router?.record(this.#tag, more, 0, length, this.#scanner, this.#timeMs, position);
    return undefined;
  }

  park(reason: ParkReason, why: string, bytes: Buffer, first: Piece): void {
    countParked(this.#context.counters, reason);
    this.#deadLetter.park(bytes, this.#about(first, bytes.length, why));
  }

  /** A line that is too long but was read: it gets a file of its own, too. */
  parkLine(line: Line, lineBytesMax: number): void {
    const name = longName(line.file, line.from);
    const fd = this.#deadLetter.openLong(name);
    try {
      writeAllSync(fd, [line.bytes.subarray(line.start, line.end)]);
      fs.fdatasyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    this.parkLong(name, line.end - line.start, lineBytesMax, line);
  }

  /** A line that lies in a file of its own. */
  parkLong(name: string, length: number, lineBytesMax: number, first: Piece): void {
    this.#context.counters.longLines++;
    countParked(this.#context.counters, "too-long");
    this.#deadLetter.addBytes(length);
    const why = `the line is longer than ${lineBytesMax} bytes (buffer_max_size)`;
    this.#deadLetter.parkFile(name, this.#about(first, length, why));
  }

  #about(first: Piece, length: number, reason: string): ParkedLine {
    const { path, identity } = first.file;
    return { reason, tag: this.#tag, source: { path, inode: identity, offset: first.from, length } };
  }

  #notJson(line: Buffer, first: Piece): void {
    if (!isPieceOfJson(line)) {
      return this.park("not-json", `the line is not a record: ${this.#scanner.why}`, line, first);
    }
    this.park("multi-line-json", "the line is a piece of JSON that goes over several lines", line, first);
    const where = `Input "${this.#options.alias}": ${first.file.path}`;
    const next = "write each record on one line, as `jq -c .` does";
    this.#context.onProblem(
      "tail/multi-line-json",
      `${where} holds JSON over several lines, which is set aside: ${next}`,
    );
    return undefined;
  }

  /** Adds the keys that say where the record came from. What the record itself says under them is replaced. */
  #extend(bytes: Buffer, first: Piece): void {
    const { pathKey, offsetKey } = this.#options;
    const json = this.#extended;
    json.reset();
    json.put(open);
    const { members, count } = this.#scanner;
    for (let index = 0; index < count; index++) {
      const [keyStart = 0, keyEnd = 0, , end = 0] = members.subarray(4 * index, 4 * index + 4);
      const key = JSON.parse(bytes.toString("utf8", keyStart, keyEnd)) as string;
      if (key === pathKey || key === offsetKey) continue;
      if (json.length > 1) json.put(comma);
      json.put(bytes, keyStart, end);
    }
    const put = (key: string | undefined, value: string | number) => {
      if (key === undefined) return;
      if (json.length > 1) json.put(comma);
      json.put(Buffer.from(`${JSON.stringify(key)}:${JSON.stringify(value)}`));
    };
    put(pathKey, first.file.base);
    put(offsetKey, first.from);
    json.put(close);
  }
}

const open = Buffer.from("{");
const comma = Buffer.from(",");
const close = Buffer.from("}");
