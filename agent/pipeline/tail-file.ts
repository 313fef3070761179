import { createHash } from "node:crypto";
import * as fs from "node:fs";
import type { TailConfig } from "#shipper";
import type { DeadLetter } from "./dead-letter.ts";
import { writeAllSync } from "./files.ts";
import { fingerprintOf, headBytesMax, readHead } from "./mark.ts";
import type { Mark } from "./mark.ts";

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

/** One open file. Knows the file by what it holds, not by its name, and reads only whole lines. */
export class TailFile {
  path: string;
  readonly base: string;
  readonly device: number;
  readonly inode: number;
  /** Files are read in this order: what was rotated away before what came after it. */
  order: number;
  /** When it was seen to be no longer what its path names. */
  rotatedAt: number | undefined;
  offset: number;
  size = 0;
  readonly #fd: number;
  #head: Buffer;
  #origin: string | undefined;
  #long: LongLine | undefined;
  /** The size at which only half a line was left: reading again is useless until it grows. */
  #partialAt = -1;

  constructor(fd: number, place: { path: string; base: string; order: number }, offset: number) {
    const stat = fs.fstatSync(fd);
    this.#fd = fd;
    this.path = place.path;
    this.base = place.base;
    this.order = place.order;
    this.device = stat.dev;
    this.inode = stat.ino;
    this.offset = offset;
    this.size = stat.size;
    this.#head = readHead(fd, Math.min(offset, headBytesMax));
  }

  get isAtEnd(): boolean {
    return this.offset >= this.size || this.#partialAt === this.size;
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

  mark(done: boolean): Mark {
    const { path, base, device, inode, offset } = this;
    return { path, base, device, inode, offset, fingerprint: fingerprintOf(this.#head), done };
  }

  /**
   * Reads on. `advance` by `consumed` has to follow before the next read when there was something. `isFinal` says that
   * nobody will write to the file any more: what is left of a line is all there will be of it.
   */
  read(buffers: ReadBuffer, config: TailConfig, deadLetter: DeadLetter, isFinal: boolean): Reading {
    this.size = fs.fstatSync(this.#fd).size;
    const at = this.offset + (this.#long?.length ?? 0);
    if (this.size < at) return { kind: "truncated" };
    if (isFinal && this.size === at && this.#long !== undefined) return this.#endLong(this.#long, 0);
    if (this.size === at || (this.#partialAt === this.size && !isFinal)) {
      return this.#isSame() ? nothing : { kind: "truncated" };
    }
    const buffer = buffers.get(config.chunkBytes);
    const read = fs.readSync(this.#fd, buffer, 0, buffer.length, at);
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

  advance(length: number): void {
    this.offset += length;
    this.#partialAt = -1;
  }

  /** Begins again: the same file, other content. */
  restart(order: number): void {
    this.offset = 0;
    this.order = order;
    this.#head = Buffer.alloc(0);
    this.#origin = undefined;
    this.#partialAt = -1;
    this.#dropLong();
  }

  close(): void {
    this.#dropLong();
    fs.closeSync(this.#fd);
  }

  #lines(buffer: Buffer, length: number, consumed: number): Chunk {
    this.#remember(buffer, consumed);
    return { kind: "lines", buffer, length, consumed, offset: this.offset };
  }

  #remember(buffer: Buffer, length: number): void {
    if (this.offset !== this.#head.length || this.#head.length >= headBytesMax) return;
    this.#head = Buffer.concat([
      this.#head,
      buffer.subarray(0, Math.min(length, headBytesMax - this.offset)),
    ]);
  }

  #isSame(): boolean {
    return this.#head.length === 0 || readHead(this.#fd, this.#head.length).equals(this.#head);
  }

  #beginLong(deadLetter: DeadLetter, buffer: Buffer, read: number): Reading {
    this.#remember(buffer, read);
    const name = longName(this, this.offset);
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
    return { kind: "long", name: long.name, consumed, offset: this.offset };
  }

  #dropLong(): void {
    if (this.#long !== undefined) fs.closeSync(this.#long.fd);
    this.#long = undefined;
  }
}

const nothing: Reading = { kind: "nothing" };

/** The same for the same line of the same content, so that reading it twice keeps it once. */
export function longName(file: { readonly inode: number; readonly origin: string }, offset: number): string {
  return `long-${file.inode}-${file.origin.slice(0, 12)}-${offset}.line`;
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
