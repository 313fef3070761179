import * as fs from "node:fs";
import { join } from "node:path";
import { DiskRoom } from "./disk-room.ts";
import { FolderSync, SyncGuard } from "./durable.ts";
import { FdsInUse } from "./fds-in-use.ts";
import { reasonOf, syncData, writeAllSync } from "./files.ts";
import { segmentIds, segmentPath } from "./queue-files.ts";
import { QueuePositionFile } from "./queue-position.ts";
import type { QueuePosition } from "./queue-position.ts";
import { QueueSpares } from "./queue-spares.ts";
import { scanSegment } from "./segment-scan.ts";
import { encodeEntry, loadEntry, measureEntry } from "./segment.ts";
import type { Measure, NewEntry, StoredEntry } from "./segment.ts";
import { Slab } from "./slab.ts";

/** `damaged`: something in it cannot be read, or may not survive. `queue`: something cannot be written for now. */
export type QueueProblem = "damaged" | "queue";

export interface QueueOptions {
  readonly bytesMax: number;
  readonly segmentBytes: number;
  readonly onProblem: (code: QueueProblem, message: string) => void;
}

interface Segment {
  readonly id: number;
  /** Bytes of entries; the file may be longer, by what is left of an earlier use. */
  size: number;
  /** Those that are not acknowledged. */
  records: number;
  /** Whether this process wrote it. */
  readonly isOwn: boolean;
}

/** A place between two entries. */
interface Place {
  readonly segment: number;
  readonly offset: number;
}

/** An entry that was found and not read yet. */
interface Found extends Measure {
  readonly segment: Segment;
}

/** What a process wrote and is no further back still lies in memory, where no disk can have damaged it. */
const freshBytes = 256 * 1024 * 1024;

/**
 * A first-in-first-out queue on disk: segment files with a checksum per entry. After kill -9 or power loss the end may be
 * torn, which only costs entries that nobody was told were safe; what was acknowledged but not yet noted as read comes
 * again. Refusing to grow beyond `bytesMax` is the caller's job (`isFull`): the queue drops only what `dropOldest` is
 * told to. A queue that runs empty starts its file anew instead of making another one, so that a destination that keeps up
 * costs the disk next to nothing.
 */
export class DiskQueue {
  readonly #dir: string;
  readonly #options: QueueOptions;
  readonly #segments: Segment[] = [];
  readonly #slab = new Slab();
  readonly #position: QueuePositionFile;
  readonly #fds = new FdsInUse();
  readonly #spares: QueueSpares;
  readonly #room: DiskRoom;
  /** The disk was full when it was last needed: nothing is kept to be written over again. */
  #isShort = false;
  /** In all segments, acknowledged or not. */
  #size = 0;
  #records = 0;
  #sequence = 1;
  #lastId: number;
  #read: Place;
  /** Where the next call of `next` continues: ahead of `#read` by what is not acknowledged yet. */
  #cursor: Place;
  #writer: { readonly segment: Segment; readonly fd: number; fileSize: number } | undefined;
  #reader: { readonly segment: number; readonly fd: number } | undefined;
  readonly #folder: FolderSync;
  readonly #guard = new SyncGuard();

  /** Opens or makes the queue in a folder. Throws when the folder cannot be had. */
  constructor(dir: string, options: QueueOptions) {
    this.#dir = dir;
    this.#options = options;
    fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
    this.#folder = new FolderSync(dir, true);
    this.#position = new QueuePositionFile(join(dir, "position.json"));
    const ids = segmentIds(dir, "seg");
    this.#spares = new QueueSpares(dir);
    this.#room = new DiskRoom(dir);
    const position = this.#position.load();
    // Never one that was used before: the position would speak of other entries.
    const used = [...ids, ...(position === undefined ? [] : [position.segment])];
    this.#lastId = used.length === 0 ? Math.floor(Date.now() / 1000) : Math.max(...used);
    this.#read = this.#cursor = { segment: ids[0] ?? this.#lastId, offset: 0 };
    for (const id of ids) {
      if (position !== undefined && id < position.segment) fs.rmSync(segmentPath(this.#dir, id));
      else this.#load(id, id === ids.at(-1), id === position?.segment ? position.sequence : 0);
    }
  }

  /** Bytes on disk that are not acknowledged. */
  get bytes(): number {
    return this.#size - this.#read.offset;
  }

  get records(): number {
    return this.#records;
  }

  get isEmpty(): boolean {
    return this.bytes <= 0;
  }

  /** The largest file that is kept to be used again: not one that an entry made larger than others, none of a full disk. */
  get #sizeKept(): number {
    return this.#isShort ? 0 : this.#options.segmentBytes * 2;
  }

  get isFull(): boolean {
    return this.bytes >= this.#options.bytesMax;
  }

  /** Appends an entry or throws and leaves the queue as it was; durable after `sync`. A backlog leaves a rest: see DiskRoom. */
  append(entry: NewEntry): void {
    const writer = this.#openToWrite();
    const { segment } = writer;
    const buffers = encodeEntry(entry, this.#sequence);
    const bytes = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
    const isLonger = segment.size + bytes > writer.fileSize;
    try {
      if (isLonger && !this.isEmpty) this.#room.take(bytes);
      writeAllSync(writer.fd, buffers, segment.size);
    } catch (error) {
      this.#isShort = true;
      this.#spares.drop();
      fs.ftruncateSync(writer.fd, segment.size);
      writer.fileSize = segment.size;
      throw error;
    }
    this.#isShort &&= !isLonger;
    this.#sequence++;
    segment.size += bytes;
    segment.records += entry.count;
    this.#size += bytes;
    this.#records += entry.count;
    writer.fileSize = Math.max(writer.fileSize, segment.size);
  }

  /**
   * The oldest entries after those already taken, in order, within the bounds but at least one if there is one. They lie in
   * one buffer, which the next call uses again.
   */
  next(bytesMax: number, countMax: number): StoredEntry[] {
    const found: Found[] = [];
    let bytes = 0;
    let count = 0;
    for (let at = this.#cursor; ;) {
      const one = this.#find(at);
      if (one === undefined) break;
      bytes += one.length;
      count += one.count;
      if (found.length > 0 && (bytes > bytesMax || count > countMax)) break;
      found.push(one);
      at = { segment: one.segment.id, offset: one.next };
    }
    const entries = this.#take(found);
    // What was found and could not be read is set aside now: look behind it.
    return entries.length === 0 && found.length > 0 ? this.next(bytesMax, countMax) : entries;
  }

  /** Takes entries out for good, in the order in which `next` gave them. */
  ack(entries: readonly StoredEntry[]): void {
    const last = entries.at(-1);
    if (last === undefined) return;
    for (const entry of entries) {
      this.#records -= entry.count;
      const segment = this.#segments.find(({ id }) => id === entry.segment);
      if (segment !== undefined) segment.records -= entry.count;
    }
    this.#read = { segment: last.segment, offset: last.end };
    this.#note({ segment: last.segment, sequence: last.sequence + 1 });
    for (const segment of this.#segments.slice()) {
      const isDone = segment.id < last.segment || (segment.id === last.segment && last.end >= segment.size);
      if (!isDone) return;
      this.#release(segment);
    }
  }

  /** Gives entries back that were taken and not acknowledged. */
  rewind(): void {
    this.#cursor = this.#read;
  }

  /** A full disk must not keep what was delivered from being removed, which is what makes room. */
  #note(position: QueuePosition): void {
    try {
      this.#position.save(position);
    } catch (error) {
      this.#isShort = true;
      const what = "how far it was delivered cannot be noted, records may come twice after a crash";
      this.#options.onProblem("queue", `${what}: ${reasonOf(error)}`);
    }
  }

  /**
   * Drops the oldest segments that nobody is delivering until the queue is within its bound, and gives the number of records
   * that went. The segment that is being written stays.
   */
  dropOldest(): number {
    const before = this.#records;
    const { segment, offset } = this.#read;
    const isDelivering = this.#cursor.segment !== segment || this.#cursor.offset !== offset;
    for (const segment of this.#segments.slice(0, -1)) {
      if (!this.isFull) break;
      if (!isDelivering || segment.id > this.#cursor.segment) this.#release(segment);
    }
    return before - this.#records;
  }

  /** Event time of the oldest record, undefined when empty. */
  oldestMs(): number | undefined {
    return this.#find(this.#read)?.oldestMs;
  }

  /** False after a sync that failed: what was appended since the last one that worked may be gone, whatever later ones say. */
  get isDurable(): boolean {
    return this.#guard.isDurable;
  }

  /** Resolves when everything appended before the call survives power loss. Once it failed it never does again. */
  async sync(): Promise<void> {
    if (this.#writer !== undefined && this.isDurable) {
      await this.#fds.use(this.#writer.fd, syncData).catch((error: unknown) => this.#fail(error));
    }
    this.#guard.check();
    await this.#folder.sync();
  }

  close(): void {
    const last = this.#writer?.segment;
    this.#closeWriter();
    this.#forgetReader();
    this.#position.close();
    this.#spares.drop();
    // An empty queue leaves no segment, so that its folder shows that nothing waits in it.
    if (last !== undefined && this.isEmpty) fs.rmSync(segmentPath(this.#dir, last.id), { force: true });
  }

  /**
   * Reads through a segment of an earlier process. The last one may end in a torn entry, or in what is left of an earlier use
   * of the file: neither was ever reported as safe, and it goes.
   */
  #load(id: number, isLast: boolean, firstSequence: number): void {
    const fd = fs.openSync(segmentPath(this.#dir, id), "r+");
    try {
      const fileSize = fs.fstatSync(fd).size;
      const { size, acknowledged, records, ...scan } = scanSegment(fd, fileSize, firstSequence, this.#slab);
      const isDamaged = !isLast || scan.isDamaged;
      const segment: Segment = { id, size: isDamaged ? fileSize : size, records, isOwn: false };
      // What is damaged is found again when it is read, and reported then.
      if (!isDamaged) fs.ftruncateSync(fd, segment.size);
      if (acknowledged >= segment.size) fs.rmSync(segmentPath(this.#dir, id));
      else {
        this.#segments.push(segment);
        this.#size += segment.size;
        this.#records += records;
        if (this.#segments.length === 1) this.#read = this.#cursor = { segment: id, offset: acknowledged };
      }
    } finally {
      fs.closeSync(fd);
    }
  }

  /** The first entry at a place or behind it. */
  #find(at: Place): Found | undefined {
    for (const segment of this.#segments) {
      if (segment.id < at.segment) continue;
      const offset = segment.id === at.segment ? at.offset : 0;
      // Nothing to read, or not even a file yet when the disk is full.
      if (offset >= segment.size) continue;
      const found = measureEntry(this.#openToRead(segment.id), offset, segment.size);
      if (found.kind === "entry") return { ...found, segment };
      if (found.kind === "broken") this.#setAside(segment, offset, found.why);
    }
    return undefined;
  }

  /** Reads what was found, up to the first that is damaged. */
  #take(found: readonly Found[]): StoredEntry[] {
    const entries: StoredEntry[] = [];
    const slab = this.#slab.take(found.reduce((sum, one) => sum + one.length, 0));
    const isShort = this.bytes <= freshBytes;
    let at = 0;
    for (const one of found) {
      const { segment, sequence, next: end } = one;
      const isFresh = isShort && segment.isOwn;
      const entry = loadEntry(this.#openToRead(segment.id), one, slab, at, isFresh);
      if ("kind" in entry) {
        this.#setAside(segment, one.offset, entry.why);
        break;
      }
      at += one.length;
      this.#cursor = { segment: segment.id, offset: end };
      entries.push({ ...entry, segment: segment.id, sequence, end });
    }
    return entries;
  }

  /** A damaged middle: lengths cannot be trusted, so the rest of the segment is kept in a file for people. */
  #setAside(segment: Segment, offset: number, why: string): void {
    const path = segmentPath(this.#dir, segment.id);
    fs.copyFileSync(path, `${path}.damaged`);
    this.#options.onProblem(
      "damaged",
      `Queue segment ${path} is damaged at byte ${offset} (${why}): ` +
        `${segment.size - offset} bytes are not delivered, the file is kept as ${path}.damaged`,
    );
    this.#size -= segment.size - offset;
    segment.size = offset;
    if (segment === this.#writer?.segment) this.#closeWriter();
    fs.truncateSync(path, offset);
  }

  #openToWrite(): { readonly segment: Segment; readonly fd: number; fileSize: number } {
    if (this.#writer !== undefined && this.#writer.segment.size < this.#options.segmentBytes) {
      return this.#writer;
    }
    this.#closeWriter();
    const id = this.#lastId + 1;
    this.#spares.use(id);
    const fd = fs.openSync(segmentPath(this.#dir, id), fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);
    this.#lastId = id;
    this.#folder.touch();
    const segment: Segment = { id, size: 0, records: 0, isOwn: true };
    this.#segments.push(segment);
    if (this.#segments.length === 1) this.#read = this.#cursor = { segment: id, offset: 0 };
    this.#writer = { segment, fd, fileSize: fs.fstatSync(fd).size };
    return this.#writer;
  }

  #openToRead(id: number): number {
    if (this.#reader?.segment === id) return this.#reader.fd;
    this.#forgetReader();
    const fd = fs.openSync(segmentPath(this.#dir, id), "r");
    this.#reader = { segment: id, fd };
    return fd;
  }

  /** Takes a segment out of the queue, with what of it is not acknowledged. */
  #release(segment: Segment): void {
    this.#size -= segment.size;
    this.#records -= segment.records;
    const { size } = segment;
    if (segment === this.#writer?.segment) {
      segment.size = segment.records = 0;
      if (this.#writer.fileSize > this.#sizeKept) {
        fs.ftruncateSync(this.#writer.fd, 0);
        this.#writer.fileSize = 0;
      }
      this.#read = this.#cursor = { segment: segment.id, offset: 0 };
      return;
    }
    this.#segments.splice(this.#segments.indexOf(segment), 1);
    if (this.#reader?.segment === segment.id) this.#forgetReader();
    // Entries are told from those of an earlier use by their sequence, which every process begins anew.
    const isSpare = segment.isOwn && size <= this.#sizeKept;
    if (isSpare && this.#spares.hasRoom) this.#spares.keep(segment.id);
    else fs.rmSync(segmentPath(this.#dir, segment.id), { force: true });
    if (this.#read.segment !== segment.id) return;
    this.#read = { segment: this.#segments[0]?.id ?? this.#lastId, offset: 0 };
    if (this.#cursor.segment <= segment.id) this.#cursor = this.#read;
  }

  /** What is in the segment has to be as durable as if it had been synced in time. */
  #closeWriter(): void {
    if (this.#writer === undefined) return;
    const { segment, fd, fileSize } = this.#writer;
    this.#writer = undefined;
    try {
      if (fileSize > segment.size) fs.ftruncateSync(fd, segment.size);
      fs.fdatasyncSync(fd);
    } catch (error) {
      // What comes next can be appended all the same; only `sync` must know.
      this.#fail(error);
    } finally {
      this.#fds.close(fd);
    }
  }

  #fail(cause: unknown): void {
    this.#options.onProblem("damaged", this.#guard.fail(`the queue in ${this.#dir}`, cause).message);
  }

  #forgetReader(): void {
    if (this.#reader !== undefined) fs.closeSync(this.#reader.fd);
    this.#reader = undefined;
  }
}
