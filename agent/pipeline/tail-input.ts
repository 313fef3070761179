import type { TailConfig } from "#shipper";
import type { Parking } from "./dead-letter.ts";
import { reasonOf } from "./files.ts";
import { countsOf } from "./input.ts";
import type { Input, InputContext, InputReport } from "./input.ts";
import { newParser } from "./line-parser.ts";
import type { HeldBytes, LineParser } from "./line-parser.ts";
import { LineSink } from "./line-sink.ts";
import { eachLine } from "./lines.ts";
import type { Mark } from "./mark.ts";
import type { Router } from "./router.ts";
import type { TailFiles } from "./tail-files.ts";
import { ReadBuffer } from "./tail-file.ts";
import type { Chunk, LongChunk, Reading, TailFile } from "./tail-file.ts";

/** The files of one path: what was rotated away first, then what the path names. */
interface Chain {
  readonly base: string;
  readonly tag: string;
  readonly parser: LineParser;
  files: readonly TailFile[];
  /** Since when there is nothing new, and when that was seen last. */
  idleSince: number | undefined;
  probedAt: number;
}

/** Bytes of cut lines and open events that all paths together may hold. */
const heldBytesMax = 32 * 1024 * 1024;
/** A path without news is not looked at in every turn of a busy input. */
const idlePollMs = 50;
const failureMsMax = 60_000;
/** When there were no turns for so long, reading waits. */
const pausedMs = 500;

/** `tail`: whole lines of files, about one chunk a turn, and each path in its turn. */
export class TailInput implements Input {
  readonly config: TailConfig;
  /** How far each file may be read; to its end when absent. */
  readTo: ((file: Pick<TailFile, "device" | "inode">) => number) | undefined;
  readonly #files: TailFiles;
  readonly #deadLetter: Parking;
  readonly #context: InputContext;
  readonly #sink: LineSink;
  readonly #buffers = new ReadBuffer();
  readonly #held: HeldBytes = { now: 0, max: heldBytesMax };
  readonly #startedMs: number;
  #chains = new Map<string, Chain>();
  #version = -1;
  /** Open files, for a second reader to look up. */
  #byInode: ReadonlyMap<string, TailFile> = new Map();
  #byInodeVersion = -1;
  /** The path whose turn comes first. */
  #next = 0;
  #turnedAt: number;
  /** The time of day at the last turn. */
  #wallMs: number;
  /** Event time of the last record that was read, ms since the epoch. */
  #lastEventMs: number | undefined;

  constructor(
    config: TailConfig,
    files: TailFiles,
    deadLetter: Parking,
    context: InputContext,
    nowMs: number,
  ) {
    this.config = config;
    this.#files = files;
    this.#deadLetter = deadLetter;
    this.#context = context;
    this.#sink = new LineSink(config, deadLetter, context);
    this.#startedMs = Date.now();
    this.#turnedAt = nowMs;
    this.#wallMs = Date.now();
  }

  tags(): readonly string[] {
    const { tag } = this.config;
    return tag.includes("*") ? this.#current().map((chain) => chain.tag) : [tag];
  }

  poll(nowMs: number): void {
    this.#files.poll(nowMs);
    if (nowMs - this.#turnedAt < pausedMs) return;
    this.#turnedAt = nowMs;
    // A copy of what was cut is found while it is there.
    for (const chain of this.#current()) {
      for (const file of chain.files) if (file.isTruncated()) this.#truncated(chain, file, nowMs);
    }
  }

  /** Takes paths in turn, one chunk of each, until that is about one chunk together. */
  turn(router: Router, nowMs: number, wallMs: number): boolean {
    this.#turnedAt = nowMs;
    this.#wallMs = wallMs;
    const chains = this.#current();
    let [bytes, worked] = [0, false];
    for (let count = 0; count < chains.length && bytes < this.config.chunkBytes; count++) {
      const chain = chains[this.#next++ % chains.length];
      if (chain === undefined || this.#isResting(chain, nowMs)) continue;
      const read = this.#read(chain, router, nowMs);
      if (read === undefined) continue;
      worked = true;
      bytes += read;
    }
    this.#next %= Math.max(chains.length, 1);
    return worked;
  }

  commit(): void {
    for (const file of this.#files.files) file.commit();
  }

  rollback(): void {
    for (const chain of this.#chains.values()) this.#forget(chain);
  }

  marks(): readonly Mark[] {
    return this.#files.marks();
  }

  saved(): void {}

  /** How far a file is read that is open here. */
  reachedIn({ device, inode }: Pick<TailFile, "device" | "inode">): number | undefined {
    if (this.#byInodeVersion !== this.#files.version) {
      this.#byInodeVersion = this.#files.version;
      this.#byInode = new Map(this.#files.files.map((file) => [`${file.device}:${file.inode}`, file]));
    }
    return this.#byInode.get(`${device}:${inode}`)?.at;
  }

  report(): InputReport {
    const { files, failed } = this.#files;
    const failing = files.filter((file) => file.failing !== undefined);
    const isWaiting = [...this.#chains.values()].some(({ parser }) => parser.isWaiting);
    const isReading = isWaiting || this.#files.isUnpacking || failing.length > 0;
    const atEnd = !isReading && files.every((file) => file.isAtEnd);
    return {
      ...countsOf(this.#context.counters),
      alias: this.config.alias,
      plugin: this.config.plugin,
      oldestMs: atEnd ? undefined : (this.#lastEventMs ?? this.#startedMs),
      filesOpen: files.length,
      filesFailing: failing.length + failed.size,
      spoolBytes: 0,
      atEnd,
      ended: atEnd && this.config.exitOnEof,
      lastError: failing[0]?.failing?.why ?? [...failed].map(([path, why]) => `${path}: ${why}`)[0],
    };
  }

  close(): void {
    this.#files.close();
  }

  /** The paths with files, in a steady order. Parsers live as long as their path has a file. */
  #current(): readonly Chain[] {
    if (this.#version === this.#files.version) return [...this.#chains.values()];
    this.#version = this.#files.version;
    const byBase = Map.groupBy(this.#files.files, (file) => file.base);
    const chains = new Map<string, Chain>();
    for (const [base, files] of byBase) {
      const chain = this.#chains.get(base) ?? this.#newChain(base);
      const isSame = files.length === chain.files.length && files.every((one, at) => one === chain.files[at]);
      if (!isSame) chain.idleSince = undefined;
      chain.files = files;
      chains.set(base, chain);
    }
    this.#chains = chains;
    return [...chains.values()];
  }

  #newChain(base: string): Chain {
    const tag = this.config.tag.replaceAll("*", base.replace(/^\//, "").replaceAll("/", "."));
    const parser = newParser(this.config.format, { ...this.config, held: this.#held });
    return { base, tag, parser, files: [], idleSince: undefined, probedAt: 0 };
  }

  #isResting({ base, idleSince, probedAt }: Chain, nowMs: number): boolean {
    if (this.#files.isWaiting(base)) return true;
    return idleSince !== undefined && nowMs - probedAt < idlePollMs;
  }

  /** Reads one chunk of the first file of a path that has something; how many bytes, undefined when there is nothing. */
  #read(chain: Chain, router: Router, nowMs: number): number | undefined {
    for (const file of chain.files) {
      const reading = this.#try(file, nowMs);
      switch (reading.kind) {
        case "nothing":
          break;
        case "busy":
          return this.config.chunkBytes;
        case "truncated":
          this.#truncated(chain, file, nowMs);
          return 0;
        case "long":
          this.#begin(chain, router, this.#wallMs);
          this.#long(file, reading);
          file.advance(reading.consumed);
          return reading.consumed;
        case "lines":
          this.#begin(
            chain,
            router,
            chain.parser.timeOf(reading.buffer, 0, firstEnd(reading)) ?? this.#wallMs,
          );
          this.#lines(chain, file, reading);
          file.advance(reading.consumed);
          return reading.consumed;
      }
    }
    return this.#idle(chain, router, nowMs);
  }

  #begin(chain: Chain, router: Router, timeMs: number): void {
    chain.idleSince = undefined;
    this.#sink.begin(router, chain.tag, timeMs);
  }

  #long(file: TailFile, { name, offset, consumed }: LongChunk): void {
    if (file.progress.isAhead(offset)) return;
    const piece = { file, from: offset, to: offset + consumed };
    this.#sink.parkLong(name, consumed, this.config.lineBytesMax, piece);
    this.#context.counters.bytes += consumed;
    file.progress.add(piece.from, piece.to);
  }

  #lines(chain: Chain, file: TailFile, chunk: Chunk): void {
    const { parser } = chain;
    const { lineBytesMax } = this.config;
    for (const line of eachLine(file, chunk)) {
      if (file.progress.isAhead(line.from)) continue;
      this.#context.counters.bytes += line.to - line.from;
      const isLong = line.end - line.start > lineBytesMax;
      if (isLong) this.#sink.parkLine(line, lineBytesMax);
      if (isLong || parser.take(line, this.#sink)) file.progress.add(line.from, line.to);
    }
    const { buffer, length } = chunk;
    const lastStart = buffer.lastIndexOf(0x0a, length - 2) + 1;
    this.#lastEventMs = parser.timeOf(buffer, Math.min(lastStart, length), length - 1) ?? this.#wallMs;
  }

  /** There is nothing new: what waits for its rest waits only so long. */
  #idle(chain: Chain, router: Router, nowMs: number): undefined {
    chain.idleSince ??= nowMs;
    chain.probedAt = nowMs;
    const { parser } = chain;
    const isLate = nowMs - chain.idleSince >= parser.idleMs || this.config.exitOnEof;
    if (!parser.isWaiting || !isLate) return;
    this.#sink.begin(router, chain.tag, this.#lastEventMs ?? this.#wallMs);
    parser.flush(this.#sink);
  }

  /** A file that cannot be read is tried again, ever more rarely, and stops no other. */
  #try(file: TailFile, nowMs: number): Reading {
    if (file.failing !== undefined && nowMs < file.failing.retryAt) return { kind: "nothing" };
    try {
      file.readTo = this.readTo?.(file) ?? Number.POSITIVE_INFINITY;
      const isFinal = this.config.exitOnEof || this.#files.isFinal(file, nowMs);
      const reading = file.read(this.#buffers, this.config, this.#deadLetter, isFinal);
      file.failing = undefined;
      return reading;
    } catch (error) {
      const count = (file.failing?.count ?? 0) + 1;
      const why = `cannot read ${file.path} at byte ${file.at}, trying again: ${reasonOf(error)}`;
      file.failing = { count, retryAt: nowMs + Math.min(500 * 2 ** count, failureMsMax), why };
      this.#context.onProblem("tail/read", `Input "${this.config.alias}": ${why}`);
      return { kind: "nothing" };
    }
  }

  #truncated(chain: Chain, file: TailFile, nowMs: number): void {
    this.#forget(chain);
    this.#files.truncated(file, nowMs);
  }

  /** Goes back to what was committed: lines that wait for their rest are read again, with their rest. */
  #forget(chain: Chain): void {
    chain.parser.reset();
    chain.idleSince = undefined;
    for (const file of chain.files) file.rollback();
  }
}

function firstEnd({ buffer, length }: Chunk): number {
  return Math.min(buffer.indexOf(0x0a), length - 1);
}
