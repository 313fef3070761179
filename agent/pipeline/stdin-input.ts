import * as fs from "node:fs";
import { Socket } from "node:net";
import type { Readable } from "node:stream";
import { isatty, ReadStream } from "node:tty";
import type { StdinConfig } from "#shipper";
import type { DeadLetter } from "./dead-letter.ts";
import { reasonOf, writeAllSync } from "./files.ts";
import { countsOf } from "./input.ts";
import type { Input, InputContext, InputReport } from "./input.ts";
import { newParser } from "./line-parser.ts";
import type { LineFile, LineParser } from "./line-parser.ts";
import { LineSink } from "./line-sink.ts";
import { eachLine } from "./lines.ts";
import type { Mark } from "./mark.ts";
import { Progress } from "./progress.ts";
import type { Router } from "./router.ts";
import { longName } from "./tail-file.ts";

const heldMax = 4 * 1024 * 1024;

/** A line that is too long, while it goes to a file of its own. */
interface LongLine {
  readonly name: string;
  readonly fd: number;
  readonly from: number;
  length: number;
}

/**
 * `stdin`: lines until the other side ends. What was read from a pipe cannot be read again: records that a killed process
 * had read, and that were not with every output yet, are gone. For one-shot runs, whose caller can repeat them.
 */
export class StdinInput implements Input {
  readonly config: StdinConfig;
  readonly #context: InputContext;
  readonly #deadLetter: DeadLetter;
  readonly #sink: LineSink;
  readonly #parser: LineParser;
  readonly #source: LineFile;
  readonly #stream: Readable;
  /** What was read and is not committed; `#at` is the offset of its first byte. */
  #held: Buffer = Buffer.alloc(0);
  #at = 0;
  #incoming: Buffer[] = [];
  #incomingBytes = 0;
  #hasEnded = false;
  /** Bytes of `#held` that the last turn took. */
  #taken = 0;
  #isFlushed = false;
  #long: LongLine | undefined;
  #lastError: string | undefined;

  constructor(config: StdinConfig, deadLetter: DeadLetter, context: InputContext) {
    this.config = config;
    this.#context = context;
    this.#deadLetter = deadLetter;
    const { alias } = config;
    this.#sink = new LineSink({ alias, pathKey: undefined, offsetKey: undefined }, deadLetter, context);
    this.#parser = newParser(config.format, { ...config, held: { now: 0, max: heldMax } });
    const place = { path: "stdin", base: "stdin", identity: 0, origin: "stdin" };
    this.#source = { ...place, progress: new Progress(0), before: () => Buffer.alloc(0) };
    this.#stream = openStdin();
    this.#stream.on("data", (chunk: Buffer) => {
      this.#incoming.push(chunk);
      this.#incomingBytes += chunk.length;
      if (this.#incomingBytes > heldMax) this.#stream.pause();
    });
    this.#stream.on("end", () => (this.#hasEnded = true));
    this.#stream.on("error", (error) => {
      this.#hasEnded = true;
      this.#lastError = `the standard input cannot be read: ${reasonOf(error)}`;
      context.onProblem("stdin/read", `Input "${alias}": ${this.#lastError}`);
    });
  }

  tags(): readonly string[] {
    return [this.config.tag];
  }

  poll(): void {}

  turn(router: Router, _nowMs: number, wallMs: number): boolean {
    this.#takeIn();
    this.#sink.begin(router, this.config.tag, wallMs);
    if (this.#long !== undefined) return this.#goOnLong(this.#long);
    const length = this.#held.lastIndexOf(0x0a) + 1;
    if (length > 0) return this.#lines(router, this.#held, length, wallMs);
    if (this.#held.length > this.config.lineBytesMax) return this.#beginLong();
    if (!this.#isComplete || this.#isFlushed) return false;
    return this.#end(router, wallMs);
  }

  commit(): void {
    this.#held = this.#held.subarray(this.#taken);
    this.#at += this.#taken;
    this.#taken = 0;
  }

  rollback(): void {
    this.#taken = 0;
  }

  marks(): readonly Mark[] {
    return [];
  }

  saved(): void {}

  report(): InputReport {
    const atEnd = this.#held.length + this.#incomingBytes === 0 && !this.#parser.isWaiting;
    return {
      ...countsOf(this.#context.counters),
      alias: this.config.alias,
      plugin: this.config.plugin,
      oldestMs: undefined,
      filesOpen: 0,
      filesFailing: 0,
      spoolBytes: 0,
      atEnd,
      ended: atEnd && this.#isFlushed,
      lastError: this.#lastError,
    };
  }

  close(): void {
    this.#stream.destroy();
    if (this.#long !== undefined) fs.closeSync(this.#long.fd);
  }

  get #isComplete(): boolean {
    return this.#hasEnded && this.#incomingBytes === 0;
  }

  #takeIn(): void {
    if (this.#incoming.length === 0) return;
    this.#held = Buffer.concat([this.#held, ...this.#incoming]);
    this.#incoming = [];
    this.#incomingBytes = 0;
    this.#stream.resume();
  }

  #lines(router: Router, buffer: Buffer, length: number, wallMs: number): boolean {
    const { lineBytesMax, tag } = this.config;
    const firstEnd = Math.min(buffer.indexOf(0x0a), length - 1);
    this.#sink.begin(router, tag, this.#parser.timeOf(buffer, 0, firstEnd) ?? wallMs);
    const consumed = Math.min(length, this.#held.length);
    const chunk = { kind: "lines" as const, buffer, length, consumed, offset: this.#at };
    for (const line of eachLine(this.#source, chunk)) {
      this.#context.counters.bytes += line.to - line.from;
      if (line.end - line.start > lineBytesMax) this.#sink.parkLine(line, lineBytesMax);
      else this.#parser.take(line, this.#sink);
    }
    this.#taken = consumed;
    return true;
  }

  /** The other side ended: the last line may lack its line break, and nothing will follow what waits for more. */
  #end(router: Router, wallMs: number): boolean {
    if (this.#held.length > 0) {
      const last = Buffer.concat([this.#held, Buffer.from("\n")]);
      this.#lines(router, last, last.length, wallMs);
    }
    this.#parser.flush(this.#sink);
    this.#isFlushed = true;
    return true;
  }

  #beginLong(): boolean {
    const name = longName(this.#source, this.#at);
    this.#long = { name, fd: this.#deadLetter.openLong(name), from: this.#at, length: 0 };
    return this.#goOnLong(this.#long);
  }

  /** Takes the line's bytes as they come, up to its line break. */
  #goOnLong(long: LongLine): boolean {
    const newline = this.#held.indexOf(0x0a);
    const part = newline === -1 ? this.#held : this.#held.subarray(0, newline);
    writeAllSync(long.fd, [part]);
    long.length += part.length;
    this.#taken = newline === -1 ? part.length : newline + 1;
    this.#context.counters.bytes += this.#taken;
    if (newline === -1 && !this.#isComplete) return part.length > 0;
    fs.fdatasyncSync(long.fd);
    fs.closeSync(long.fd);
    this.#long = undefined;
    const piece = { file: this.#source, from: long.from, to: long.from + long.length };
    this.#sink.parkLong(long.name, long.length, this.config.lineBytesMax, piece);
    return true;
  }
}

/** A stream that ends the process's wait with it, whatever the standard input is. */
function openStdin(): Readable {
  if (isatty(0)) return new ReadStream(0);
  const stat = fs.fstatSync(0);
  if (stat.isFIFO() || stat.isSocket()) return new Socket({ fd: 0, readable: true, writable: false });
  return fs.createReadStream("", { fd: 0, autoClose: false });
}
