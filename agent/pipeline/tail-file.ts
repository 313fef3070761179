import { createHash } from "node:crypto";
import * as fs from "node:fs";
import type { TailConfig } from "#shipper";
import type { Parking } from "./dead-letter.ts";
import { writeAllSync } from "./files.ts";
import type { LineFile } from "./line-parser.ts";
import { fingerprintOf, headBytesMax, readHead } from "./mark.ts";
import type { FileMark } from "./mark.ts";
import { Progress } from "./progress.ts";

/**
 * Whole lines of a file: `buffer[0]` is the byte at `offset`, `length` bytes end with a newline. `consumed` bytes of the
 * file are in it: one less when the file ended without a newline and got one here.
 */
export interface Chunk {
  readonly kind: "lines";
  readonly buffer: Buffer;
  readonly length: number;
  readonly consumed: number;
  readonly offset: number;
}

/** A line that was too long for memory and lies in a file of the dead letter folder, complete. */
export interface LongChunk {
  readonly kind: "long";
  readonly name: string;
  readonly consumed: number;
  readonly offset: number;
}

/** `busy`: something was read, nothing is complete yet. */
export type Reading = Chunk | LongChunk | { readonly kind: "nothing" | "busy" | "truncated" };

interface LongLine {
  readonly name: string;
  readonly fd: number;
  length: number;
}

/** What a file is opened as. */
export interface FilePlace {
  readonly path: string;
  readonly base: string;
  readonly order: number;
  /** Of the file that is known by them: another one than the open one when that is an unpacked copy. */
  readonly device?: number;
  readonly inode?: number;
  readonly identity?: number;
  /** The size of the compressed file that the open one was unpacked from. */
  readonly packedSize?: number;
}

/** What is known of how far it was read. */
export type Reached = Partial<Pick<FileMark, "ahead" | "fingerprint">> & Pick<FileMark, "offset">;

/**
 * One open file. Knows the file by what it holds, not by its name, and reads only whole lines. Reading is ahead of what is
 * done, which is ahead of what is committed: only that counts after a restart.
 */
export class TailFile implements LineFile {
  path: string;
  readonly base: string;
  readonly device: number;
  readonly inode: number;
  readonly identity: number;
  readonly packedSize: number | undefined;
  /** Files of one base are read in this order: what was rotated away before what came after it. */
  order: number;
  /** When it was seen to be no longer what its path names. */
  rotatedAt: number | undefined;
  progress: Progress;
  size = 0;
  /** Nothing is read from there on; always the end of a line. */
  readTo: number = Number.POSITIVE_INFINITY;
  /** Since when it cannot be read, and when to try again. */
  failing: { readonly count: number; readonly retryAt: number; readonly why: string } | undefined;
  /** Where reading goes on. */
  #at: number;
  #committed: Pick<Progress, "offset" | "ahead">;
  readonly #fd: number;
  #head: Buffer;
  #fingerprint: FileMark["fingerprint"] | undefined;
  #origin: string | undefined;
  #long: LongLine | undefined;
  /** The size at which only half a line was left: reading again is useless until it grows. */
  #partialAt = -1;
  /** The time of the last change for which the beginning was compared. */
  #comparedMs = -1;

  constructor(fd: number, place: FilePlace, reached: Reached) {
    const stat = fs.fstatSync(fd);
    this.#fd = fd;
    this.path = place.path;
    this.base = place.base;
    this.order = place.order;
    this.device = place.device ?? stat.dev;
    this.inode = place.inode ?? stat.ino;
    this.identity = place.identity ?? this.inode;
    this.packedSize = place.packedSize;
    this.size = stat.size;
    this.progress = new Progress(reached.offset, reached.ahead);
    this.#at = reached.offset;
    this.#committed = { offset: reached.offset, ahead: reached.ahead ?? [] };
    this.#head = readHead(
      fd,
      Math.max(Math.min(reached.offset, headBytesMax), reached.fingerprint?.length ?? 0),
    );
  }

  /** Where reading goes on. */
  get at(): number {
    return this.#at;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.size || this.#partialAt === this.size;
  }

  /** Whether every byte that is there now was handed over and committed. */
  isDone(): boolean {
    try {
      this.size = fs.fstatSync(this.#fd).size;
      return this.#committed.offset >= this.size;
    } catch {
      // It stays open; whoever reads it next says why it cannot be looked at.
      return false;
    }
  }

  /** Names the content of the file: the same for as long as its first line is the same. */
  get origin(): string {
    if (this.#origin !== undefined) return this.#origin;
    const end = this.#head.indexOf(0x0a);
    const first = this.#head.subarray(0, end === -1 ? this.#head.length : end);
    const origin = createHash("sha256").update(first).digest("hex").slice(0, 32);
    if (end !== -1 || this.#head.length >= headBytesMax) this.#origin = origin;
    return origin;
  }

  mark(done: boolean): FileMark {
    const { path, base, device, inode, identity } = this;
    this.#fingerprint ??= fingerprintOf(this.#head);
    // The done one of a compressed file is known by its size: see TailFiles.
    const offset = done && this.packedSize !== undefined ? this.packedSize : this.#committed.offset;
    const { ahead } = this.#committed;
    return {
      kind: "file",
      path,
      base,
      device,
      inode,
      identity,
      offset,
      ahead,
      fingerprint: this.#fingerprint,
      done,
    };
  }

  /**
   * Whether another file begins like what was read of it, and, as far as `whole` can be compared, ends in a place where it
   * holds the same: then that is a copy, or is being copied.
   */
  isLike(head: Buffer, whole?: { readonly fd: number; readonly size: number }): boolean {
    const own = this.#head.length > 0 ? this.#head.subarray(0, head.length) : readHead(this.#fd, head.length);
    if (own.length === 0 || !own.equals(head.subarray(0, own.length))) return false;
    if (whole === undefined) return true;
    const from = Math.max(0, whole.size - headBytesMax);
    const there = Buffer.alloc(whole.size - from);
    const here = Buffer.alloc(there.length);
    const read = fs.readSync(whole.fd, there, 0, there.length, from);
    const same = fs.readSync(this.#fd, here, 0, here.length, from);
    const compared = Math.min(read, same);
    return here.subarray(0, compared).equals(there.subarray(0, compared));
  }

  before(offset: number, length: number): Buffer {
    const start = Math.max(0, offset - length);
    const bytes = Buffer.allocUnsafe(offset - start);
    return bytes.subarray(0, fs.readSync(this.#fd, bytes, 0, bytes.length, start));
  }

  /**
   * Reads on. `advance` by `consumed` has to follow before the next read when there was something. `isFinal` says that
   * nobody will write to the file any more: what is left of a line is all there will be of it.
   */
  read(buffers: ReadBuffer, config: ReadLimits, deadLetter: Parking, isFinal: boolean): Reading {
    const stat = fs.fstatSync(this.#fd);
    this.size = stat.size;
    const at = this.#at + (this.#long?.length ?? 0);
    if (this.size < at) return { kind: "truncated" };
    const end = Math.min(this.size, this.readTo);
    if (end < this.size && at >= end) return this.#unchanged(stat);
    if (isFinal && this.size === at && this.#long !== undefined) return this.#endLong(this.#long, 0);
    if (this.size === at || (this.#partialAt === this.size && !isFinal)) return this.#unchanged(stat);
    const buffer = buffers.get(config.chunkBytes);
    const read = fs.readSync(this.#fd, buffer, 0, Math.min(buffer.length, end - at), at);
    // Compared after reading: if the file still begins as it did, what was read is what was there before.
    if (!this.#isSame()) return { kind: "truncated" };
    if (this.#long !== undefined) return this.#readLong(this.#long, buffer, read);
    const newline = buffer.subarray(0, read).lastIndexOf(0x0a);
    if (newline !== -1) return this.#lines(buffer, newline + 1, newline + 1);
    if (read > config.lineBytesMax) return this.#beginLong(deadLetter, buffer, read);
    if (read < buffer.length) {
      this.#partialAt = this.size;
      if (!isFinal || read === 0) return nothing;
      buffer[read] = 0x0a;
      return this.#lines(buffer, read + 1, read);
    }
    buffers.grow(config.lineBytesMax + 1);
    return { kind: "busy" };
  }

  /** Whether it holds something else than what was read: it is shorter, or begins differently. */
  isTruncated(): boolean {
    try {
      const stat = fs.fstatSync(this.#fd);
      return stat.size < this.#at + (this.#long?.length ?? 0) || this.#unchanged(stat).kind === "truncated";
    } catch {
      // Whoever reads it next says why it cannot be looked at.
      return false;
    }
  }

  /** Goes on behind what `read` gave. What becomes of it tells `progress`. */
  advance(consumed: number): void {
    this.#at += consumed;
    this.#partialAt = -1;
  }

  /** What is done up to now counts after a restart. */
  commit(): void {
    const { offset, hasAhead } = this.progress;
    const committed = this.#committed;
    if (committed.offset === offset && !hasAhead && committed.ahead.length === 0) return;
    this.#committed = { offset, ahead: this.progress.ahead };
  }

  /** Goes back to what was committed. */
  rollback(): void {
    const { offset, ahead } = this.#committed;
    this.progress = new Progress(offset, ahead);
    this.#at = offset;
    this.#partialAt = -1;
    this.#dropLong();
  }

  /** Begins again: the same file, other content. */
  restart(order: number): void {
    this.order = order;
    this.#head = Buffer.alloc(0);
    this.#fingerprint = undefined;
    this.#origin = undefined;
    this.#committed = { offset: 0, ahead: [] };
    this.rollback();
  }

  close(): void {
    this.#dropLong();
    fs.closeSync(this.#fd);
  }

  #lines(buffer: Buffer, length: number, consumed: number): Chunk {
    this.#remember(buffer, consumed);
    return { kind: "lines", buffer, length, consumed, offset: this.#at };
  }

  /** Keeps how the file begins, from the bytes at `#at`. */
  #remember(buffer: Buffer, length: number): void {
    const known = this.#head.length;
    if (known >= headBytesMax || this.#at > known || this.#at + length <= known) return;
    const more = buffer.subarray(known - this.#at, Math.min(length, headBytesMax - this.#at));
    this.#head = Buffer.concat([this.#head, more]);
    this.#fingerprint = undefined;
  }

  /** Nothing new is there; whether that is because something else is. */
  #unchanged({ mtimeMs }: fs.Stats): Reading {
    if (mtimeMs === this.#comparedMs) return nothing;
    this.#comparedMs = mtimeMs;
    return this.#isSame() ? nothing : { kind: "truncated" };
  }

  #isSame(): boolean {
    return this.#head.length === 0 || readHead(this.#fd, this.#head.length).equals(this.#head);
  }

  #beginLong(deadLetter: Parking, buffer: Buffer, read: number): Reading {
    this.#remember(buffer, read);
    const name = longName(this, this.#at);
    this.#long = { name, fd: deadLetter.openLong(name), length: 0 };
    return this.#readLong(this.#long, buffer, read);
  }

  #readLong(long: LongLine, buffer: Buffer, read: number): Reading {
    const newline = buffer.subarray(0, read).indexOf(0x0a);
    const taken = newline === -1 ? read : newline;
    writeAllSync(long.fd, [buffer.subarray(0, taken)]);
    long.length += taken;
    if (newline === -1) return { kind: "busy" };
    return this.#endLong(long, 1);
  }

  #endLong(long: LongLine, newlineBytes: number): LongChunk {
    fs.fdatasyncSync(long.fd);
    const consumed = long.length + newlineBytes;
    this.#dropLong();
    return { kind: "long", name: long.name, consumed, offset: this.#at };
  }

  #dropLong(): void {
    if (this.#long !== undefined) fs.closeSync(this.#long.fd);
    this.#long = undefined;
  }
}

/** How much to read at once, and when a line is too long to become a record. */
export type ReadLimits = Pick<TailConfig, "chunkBytes" | "lineBytesMax">;

const nothing: Reading = { kind: "nothing" };

/** The same for the same line of the same content, so that reading it twice keeps it once. */
export function longName(file: Pick<LineFile, "identity" | "origin">, offset: number): string {
  return `long-${file.identity}-${file.origin.slice(0, 12)}-${offset}.line`;
}

/** One buffer for all files of an input; it grows for a line that is longer than a chunk, and shrinks afterwards. */
export class ReadBuffer {
  #buffer: Buffer = Buffer.alloc(0);
  #wanted = 0;

  get(chunkBytes: number): Buffer {
    const size = Math.max(chunkBytes, this.#wanted);
    this.#wanted = 0;
    if (this.#buffer.length !== size) this.#buffer = Buffer.allocUnsafeSlow(size);
    return this.#buffer;
  }

  /** Makes the next buffer at least this large. */
  grow(size: number): void {
    this.#wanted = size;
  }
}
