import * as fs from "node:fs";
import { join } from "node:path";
import { codeOf, reasonOf, syncData, syncFolder, writeAllSync } from "./files.ts";
import { encodeEntry, readEntry } from "./segment.ts";
import type { Position, StoredEntry } from "./segment.ts";

export interface QueueOptions {
  readonly bytesMax: number;
  readonly segmentBytes: number;
  readonly onProblem: (message: string) => void;
}

interface Segment {
  readonly id: number;
  size: number;
}

/**
 * A first-in-first-out queue on disk: segment files with a checksum per entry. After kill -9 or power loss the end may be
 * torn, which only costs entries that nobody was told were safe; what was acknowledged but not yet noted as read comes
 * again. Refusing to grow beyond `bytesMax` is the caller's job (`isFull`): the queue itself never drops.
 */
export class DiskQueue {
  readonly #dir: string;
  readonly #options: QueueOptions;
  readonly #segments: Segment[] = [];
  #records = 0;
  #read: Position = { segment: 0, offset: 0 };
  /** Where the next call of `next` continues: ahead of `#read` by what is not acknowledged yet. */
  #cursor: Position = { segment: 0, offset: 0 };
  #writeFd: number | undefined;
  #readFd: { readonly segment: number; readonly fd: number } | undefined;
  #dirtyFolder = true;
  #savedPosition = "";

  /** Opens or makes the queue in a folder. Throws when the folder cannot be had. */
  constructor(dir: string, options: QueueOptions) {
    this.#dir = dir;
    this.#options = options;
    fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
    this.#load();
  }

  /** Bytes on disk that are not acknowledged. */
  get bytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.size, 0) - this.#read.offset;
  }

  get records(): number {
    return this.#records;
  }

  get isEmpty(): boolean {
    return this.bytes <= 0;
  }

  get isFull(): boolean {
    return this.bytes >= this.#options.bytesMax;
  }

  /** Appends an entry or throws and leaves the queue as it was. It is durable after the next `sync`. */
  append(tag: string, count: number, oldestMs: number, body: readonly Buffer[]): void {
    const segment = this.#segmentToWrite();
    const buffers = encodeEntry(tag, count, oldestMs, body);
    const fd = this.#openToWrite(segment);
    try {
      writeAllSync(fd, buffers);
    } catch (error) {
      fs.ftruncateSync(fd, segment.size);
      throw error;
    }
    segment.size += buffers.reduce((sum, buffer) => sum + buffer.length, 0);
    this.#records += count;
  }

  /** The oldest entries after those already taken, in order, within the bounds but at least one if there is one. */
  next(bytesMax: number, countMax: number): StoredEntry[] {
    const found: StoredEntry[] = [];
    let bytes = 0;
    let count = 0;
    for (;;) {
      const entry = this.#readAtCursor();
      if (entry === undefined) return found;
      bytes += entry.body.length;
      count += entry.count;
      if (found.length > 0 && (bytes > bytesMax || count > countMax)) return found;
      found.push(entry);
      this.#cursor = entry.end;
    }
  }

  /** Takes entries out for good, in the order in which `next` gave them. */
  ack(entries: readonly StoredEntry[]): void {
    const last = entries.at(-1);
    if (last === undefined) return;
    for (const entry of entries) this.#records -= entry.count;
    this.#read = last.end;
    for (let first = this.#segments[0]; first !== undefined; first = this.#segments[0]) {
      const isDone =
        first.id < last.end.segment || (first.id === last.end.segment && last.end.offset >= first.size);
      if (!isDone) return;
      // The last segment goes, too: an empty queue leaves an empty folder.
      this.#drop(first);
    }
  }

  /** Gives entries back that were taken and not acknowledged. */
  rewind(): void {
    this.#cursor = this.#read;
  }

  /** Event time of the oldest record, undefined when empty. */
  oldestMs(): number | undefined {
    const kept = this.#cursor;
    this.#cursor = this.#read;
    const entry = this.#readAtCursor();
    this.#cursor = kept;
    return entry?.oldestMs;
  }

  /** Resolves when everything appended before the call survives power loss. */
  async sync(): Promise<void> {
    if (this.#writeFd !== undefined) await syncData(this.#writeFd);
    if (this.#dirtyFolder) await syncFolder(this.#dir);
    this.#dirtyFolder = false;
  }

  /** Notes how far the queue was read. Losing the note costs duplicates only, so it is not synced. */
  savePosition(): void {
    const text = JSON.stringify(this.#read);
    if (text === this.#savedPosition) return;
    const path = join(this.#dir, "position.json");
    fs.writeFileSync(`${path}.tmp`, text, { mode: 0o600 });
    fs.renameSync(`${path}.tmp`, path);
    this.#savedPosition = text;
  }

  close(): void {
    this.savePosition();
    this.#closeWriter();
    this.#closeReader();
  }

  #load(): void {
    const ids = fs
      .readdirSync(this.#dir)
      .flatMap((name) => (/^\d{10}\.seg$/.test(name) ? [Number(name.slice(0, 10))] : []))
      .sort((a, b) => a - b);
    this.#read = this.#loadPosition(ids);
    this.#cursor = this.#read;
    for (const id of ids) {
      if (id < this.#read.segment) fs.rmSync(this.#path(id));
      else this.#loadSegment(id, id === ids.at(-1));
    }
  }

  #loadPosition(ids: readonly number[]): Position {
    const first = ids[0] ?? Math.floor(Date.now() / 1000);
    try {
      const saved = JSON.parse(
        fs.readFileSync(join(this.#dir, "position.json"), "utf8"),
      ) as Partial<Position>;
      const { segment, offset } = saved;
      if (typeof segment === "number" && typeof offset === "number" && ids.includes(segment)) {
        const fits = offset >= 0 && offset <= fs.statSync(this.#path(segment)).size;
        return { segment, offset: fits ? offset : 0 };
      }
    } catch (error) {
      // Not there yet, or torn by power loss: everything that is still here is delivered again.
      if (codeOf(error) !== "ENOENT" && !(error instanceof SyntaxError)) throw error;
    }
    return { segment: first, offset: 0 };
  }

  /** Counts a segment's records. What is torn at the end of the last one was never reported as safe: it goes. */
  #loadSegment(id: number, isLast: boolean): void {
    const fd = fs.openSync(this.#path(id), "r+");
    try {
      const { size } = fs.fstatSync(fd);
      let offset = id === this.#read.segment ? this.#read.offset : 0;
      for (;;) {
        const found = readEntry(fd, offset, size);
        if (found.kind === "entry") {
          this.#records += found.entry.count;
          offset = found.next;
          continue;
        }
        if (found.kind === "broken" && isLast) fs.ftruncateSync(fd, offset);
        this.#segments.push({ id, size: found.kind === "broken" && isLast ? offset : size });
        return;
      }
    } finally {
      fs.closeSync(fd);
    }
  }

  #readAtCursor(): StoredEntry | undefined {
    for (const segment of this.#segments) {
      if (segment.id < this.#cursor.segment) continue;
      const offset = segment.id === this.#cursor.segment ? this.#cursor.offset : 0;
      // Nothing to read, or not even a file yet when the disk is full.
      if (offset >= segment.size) continue;
      const found = readEntry(this.#openToRead(segment.id), offset, segment.size);
      if (found.kind === "entry") return { ...found.entry, end: { segment: segment.id, offset: found.next } };
      if (found.kind === "broken") this.#setAside(segment, offset, found.why);
    }
    return undefined;
  }

  /** A damaged middle: lengths cannot be trusted, so the rest of the segment is kept in a file for people. */
  #setAside(segment: Segment, offset: number, why: string): void {
    const aside = `${this.#path(segment.id)}.damaged`;
    fs.copyFileSync(this.#path(segment.id), aside);
    this.#options.onProblem(
      `Queue segment ${this.#path(segment.id)} is damaged at byte ${offset} (${why}): ` +
        `${segment.size - offset} bytes are not delivered, the file is kept as ${aside}`,
    );
    segment.size = offset;
    if (segment === this.#segments.at(-1)) this.#closeWriter();
    fs.truncateSync(this.#path(segment.id), offset);
  }

  #segmentToWrite(): Segment {
    const last = this.#segments.at(-1);
    if (last !== undefined && last.size < this.#options.segmentBytes) return last;
    this.#closeWriter();
    const segment = { id: (last?.id ?? this.#read.segment) + 1, size: 0 };
    this.#segments.push(segment);
    if (last === undefined) this.#read = this.#cursor = { segment: segment.id, offset: 0 };
    this.#dirtyFolder = true;
    return segment;
  }

  #openToWrite(segment: Segment): number {
    this.#writeFd ??= fs.openSync(this.#path(segment.id), "a", 0o600);
    return this.#writeFd;
  }

  #openToRead(id: number): number {
    if (this.#readFd?.segment === id) return this.#readFd.fd;
    this.#closeReader();
    const fd = fs.openSync(this.#path(id), "r");
    this.#readFd = { segment: id, fd };
    return fd;
  }

  #closeReader(): void {
    if (this.#readFd !== undefined) fs.closeSync(this.#readFd.fd);
    this.#readFd = undefined;
  }

  #drop(segment: Segment): void {
    this.#segments.shift();
    if (this.#segments.length === 0) this.#closeWriter();
    // An open file keeps its place on the disk, also when it is removed.
    if (this.#readFd?.segment === segment.id) this.#closeReader();
    fs.rmSync(this.#path(segment.id), { force: true });
    const first = this.#segments[0];
    if (first !== undefined && this.#read.segment > segment.id) return;
    const isBehind = this.#cursor.segment <= segment.id;
    this.#read = { segment: first?.id ?? segment.id, offset: 0 };
    if (first === undefined || isBehind) this.#cursor = this.#read;
  }

  #closeWriter(): void {
    if (this.#writeFd === undefined) return;
    // The segment is full or gone; what is in it has to be as durable as if it had been synced in time.
    try {
      fs.fdatasyncSync(this.#writeFd);
    } catch (error) {
      this.#options.onProblem(`Cannot sync the queue in ${this.#dir}: ${reasonOf(error)}`);
      throw error;
    } finally {
      fs.closeSync(this.#writeFd);
      this.#writeFd = undefined;
    }
  }

  #path(id: number): string {
    return join(this.#dir, `${String(id).padStart(10, "0")}.seg`);
  }
}
