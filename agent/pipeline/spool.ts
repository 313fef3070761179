import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { crc32 } from "node:zlib";
import { DiskRoom } from "./disk-room.ts";
import { codeOf, reasonOf, syncData, syncFolder } from "./files.ts";

export interface SpoolOptions {
  readonly bytesMax: number;
  readonly segmentBytes: number;
  readonly onProblem: (message: string) => void;
}

/** What was appended in one piece, and where it stands: offsets count all bytes that the spool ever held. */
export interface SpoolEntry {
  readonly lines: Buffer;
  /** Where the lines begin. */
  readonly offset: number;
  /** Where the next entry begins. */
  readonly next: number;
}

interface Segment {
  readonly start: number;
  /** Behind the last byte that is durable. */
  end: number;
}

interface Waiting {
  readonly parts: readonly Buffer[];
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

const headBytes = 8;
/** So much goes into one write at most. */
const groupBytesMax = 64 * 1024 * 1024;
const entryBytesMax = 1024 * 1024 * 1024;
const writev = promisify(fs.writev);
const ftruncate = promisify(fs.ftruncate);

/**
 * Records that an input accepted and that have no other home: segment files, read in order. `append` resolves when its
 * bytes survive power loss; those who wait at the same time share one sync. Where reading goes on stands in the
 * pipeline's checkpoint; what lies before it is removed by `drop`, when the checkpoint is durable.
 */
export class Spool {
  /** Names the content: offsets mean something only together with it. */
  readonly id: string;
  readonly #dir: string;
  readonly #options: SpoolOptions;
  #segments: Segment[] = [];
  readonly #room: DiskRoom;
  #dropped = 0;
  readonly #holes: (readonly [from: number, to: number])[] = [];
  #isLastDamaged = false;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;
  #writeFd: number | undefined;
  #readFd: { readonly start: number; readonly fd: number } | undefined;

  /** Opens or makes the spool in a folder. Throws when the folder cannot be had. */
  constructor(dir: string, options: SpoolOptions) {
    this.#dir = dir;
    this.#options = options;
    this.#room = new DiskRoom(dir);
    fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
    this.id = readId(join(dir, "id"));
    this.#load();
  }

  /** Where the oldest entry begins, and where the next one will. */
  get start(): number {
    return this.#segments[0]?.start ?? 0;
  }

  get end(): number {
    return this.#segments.at(-1)?.end ?? 0;
  }

  /** Bytes that are not taken out yet, those that are being written included. */
  get bytes(): number {
    return this.end - Math.max(this.start, this.#dropped) + this.#waitingBytes;
  }

  get isFull(): boolean {
    return this.bytes >= this.#options.bytesMax;
  }

  /** Appends entries of whole lines, all or none; resolves when they are durable. A rest of the disk is left, see DiskRoom. */
  append(entries: readonly Buffer[]): Promise<void> {
    const parts = entries.flatMap((lines) => [headOf(lines), lines]);
    const bytes = bytesOf(parts);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ parts, bytes, resolve, reject });
      this.#writing ??= this.#write();
    });
  }

  /** The entry at an offset, or the first one behind what is damaged there; undefined when there is none yet. */
  read(offset: number): SpoolEntry | undefined {
    for (const segment of this.#segments) {
      const at = this.#pastHoles(Math.max(offset, segment.start));
      if (at >= segment.end) continue;
      const fd = this.#openToRead(segment);
      const found = readEntry(fd, at - segment.start, segment.end - segment.start);
      if (typeof found !== "string") {
        return { lines: found, offset: at + headBytes, next: at + headBytes + found.length };
      }
      this.#setAside(segment, at, found);
    }
    return undefined;
  }

  /** Nobody will ask for what lies before an offset. The last segment stays: it tells where offsets go on. */
  drop(offset: number): void {
    this.#dropped = Math.max(this.#dropped, offset);
    while (this.#segments.length > 1) {
      const [first] = this.#segments;
      if (first === undefined || first.end > offset) return;
      this.#segments.shift();
      if (this.#readFd?.start === first.start) this.#closeReader();
      fs.rmSync(this.#path(first.start), { force: true });
    }
  }

  async close(): Promise<void> {
    await this.#writing;
    this.#closeReader();
    if (this.#writeFd !== undefined) fs.closeSync(this.#writeFd);
    this.#writeFd = undefined;
  }

  #pastHoles(offset: number): number {
    return this.#holes.find(([from, to]) => offset >= from && offset < to)?.[1] ?? offset;
  }

  get #waitingBytes(): number {
    return this.#waiting.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#nextGroup();
      let failure: Error | undefined;
      try {
        await this.#writeGroup(group.flatMap(({ parts }) => parts));
      } catch (error) {
        failure = new Error(`the spool ${this.#dir} cannot be written: ${reasonOf(error)}`, { cause: error });
        this.#options.onProblem(failure.message);
      }
      this.#waiting = this.#waiting.slice(group.length);
      for (const { resolve, reject } of group) {
        if (failure === undefined) resolve();
        else reject(failure);
      }
    }
    // In the same moment in which nobody was seen to wait any more: whoever comes now starts anew.
    this.#writing = undefined;
  }

  #nextGroup(): readonly Waiting[] {
    let bytes = 0;
    const count = this.#waiting.findIndex((one, index) => (bytes += one.bytes) > groupBytesMax && index > 0);
    return this.#waiting.slice(0, count === -1 ? this.#waiting.length : count);
  }

  async #writeGroup(parts: readonly Buffer[]): Promise<void> {
    if (this.start < this.end) this.#room.take(bytesOf(parts));
    const segment = await this.#segmentToWrite();
    const fd = (this.#writeFd ??= fs.openSync(this.#path(segment.start), "r+"));
    const length = segment.end - segment.start;
    let written = 0;
    try {
      for (let rest = parts; rest.length > 0; rest = after(parts, written)) {
        const { bytesWritten } = await writev(fd, rest.slice(0, 1000), length + written);
        written += bytesWritten;
      }
      await syncData(fd);
    } catch (error) {
      // What a failed sync left in memory may never reach the disk: the next entries go into a file of their own.
      await ftruncate(fd, length).catch(() => {});
      fs.closeSync(fd);
      this.#writeFd = undefined;
      if (length > 0) await this.#newSegment(segment.end).catch(() => {});
      throw error;
    }
    segment.end += written;
  }

  async #segmentToWrite(): Promise<Segment> {
    const last = this.#segments.at(-1);
    const isRoomy = last !== undefined && last.end - last.start < this.#options.segmentBytes;
    if (isRoomy && !this.#isLastDamaged) return last;
    if (this.#writeFd !== undefined) fs.closeSync(this.#writeFd);
    this.#writeFd = undefined;
    return this.#newSegment(last?.end ?? 0);
  }

  async #newSegment(start: number): Promise<Segment> {
    fs.closeSync(fs.openSync(this.#path(start), "w", 0o600));
    // The name has to be durable before anybody is told that what is in the file is.
    await syncFolder(this.#dir);
    const segment = { start, end: start };
    this.#segments.push(segment);
    this.#isLastDamaged = false;
    return segment;
  }

  #load(): void {
    const starts = fs
      .readdirSync(this.#dir)
      .flatMap((name) => (/^\d{16}\.spool$/.test(name) ? [Number(name.slice(0, 16))] : []))
      .sort((a, b) => a - b);
    for (const [index, start] of starts.entries()) {
      const next = starts[index + 1];
      const { size } = fs.statSync(this.#path(start));
      const end = next === undefined ? start + this.#wholeEntries(start, size) : Math.min(start + size, next);
      this.#segments.push({ start, end });
    }
    const last = this.#segments.at(-1);
    // What is torn at the end was acknowledged to nobody.
    if (last !== undefined) fs.truncateSync(this.#path(last.start), last.end - last.start);
  }

  #wholeEntries(start: number, size: number): number {
    const fd = fs.openSync(this.#path(start), "r");
    try {
      let at = 0;
      for (;;) {
        const found = at < size ? readEntry(fd, at, size) : "";
        if (typeof found === "string") return at;
        at += headBytes + found.length;
      }
    } finally {
      fs.closeSync(fd);
    }
  }

  /**
   * A damaged middle: lengths cannot be trusted, so that what follows in the segment is kept in a file for people, and what
   * comes next begins a segment of its own.
   */
  #setAside(segment: Segment, at: number, why: string): void {
    const aside = `${this.#path(segment.start)}.damaged`;
    fs.copyFileSync(this.#path(segment.start), aside);
    this.#holes.push([at, segment.end]);
    if (segment === this.#segments.at(-1)) this.#isLastDamaged = true;
    this.#options.onProblem(
      `${this.#path(segment.start)} is damaged at byte ${at - segment.start} (${why}): ` +
        `${segment.end - at} bytes are not delivered, the file is kept as ${aside}`,
    );
  }

  #openToRead(segment: Segment): number {
    if (this.#readFd?.start === segment.start) return this.#readFd.fd;
    this.#closeReader();
    const fd = fs.openSync(this.#path(segment.start), "r");
    this.#readFd = { start: segment.start, fd };
    return fd;
  }

  #closeReader(): void {
    if (this.#readFd !== undefined) fs.closeSync(this.#readFd.fd);
    this.#readFd = undefined;
  }

  #path(start: number): string {
    return join(this.#dir, `${String(start).padStart(16, "0")}.spool`);
  }
}

function bytesOf(parts: readonly Buffer[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}

/** Length and CRC-32 of the lines, 4 bytes each, big endian. */
function headOf(lines: Buffer): Buffer {
  const head = Buffer.allocUnsafe(headBytes);
  head.writeUInt32BE(lines.length, 0);
  head.writeUInt32BE(crc32(lines), 4);
  return head;
}

/** The lines of an entry, or why there is none. */
function readEntry(fd: number, at: number, size: number): Buffer | string {
  const head = Buffer.allocUnsafe(headBytes);
  if (at + headBytes > size || fs.readSync(fd, head, 0, headBytes, at) < headBytes) {
    return "its head is cut off";
  }
  const length = head.readUInt32BE(0);
  if (length === 0 || length > entryBytesMax || at + headBytes + length > size) {
    return "its length goes beyond the file";
  }
  const lines = Buffer.allocUnsafeSlow(length);
  if (fs.readSync(fd, lines, 0, length, at + headBytes) < length) return "it is cut off";
  return crc32(lines) === head.readUInt32BE(4) ? lines : "its checksum is wrong";
}

/** What is left of buffers behind so many bytes. */
function after(parts: readonly Buffer[], bytes: number): readonly Buffer[] {
  let skip = bytes;
  return parts.flatMap((part) => {
    const taken = Math.min(skip, part.length);
    skip -= taken;
    return taken === part.length ? [] : [part.subarray(taken)];
  });
}

function readId(path: string): string {
  try {
    const id = fs.readFileSync(path, "utf8").trim();
    if (/^[0-9a-f]{32}$/.test(id)) return id;
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
  }
  const id = randomBytes(16).toString("hex");
  const fd = fs.openSync(path, "w", 0o600);
  try {
    fs.writeSync(fd, `${id}\n`);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
  return id;
}
