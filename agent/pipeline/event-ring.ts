import * as fs from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { constants, zstdCompress } from "node:zlib";
import { DiskRoom } from "./disk-room.ts";
import { reasonOf } from "./files.ts";
import { segmentIds, segmentPath } from "./queue-files.ts";
import { blockHeadBytes, encodeBlock, RingDraft } from "./ring-block.ts";
import type { RingEvent } from "./ring-block.ts";
import { findBlocks } from "./ring-files.ts";

export interface RingStats {
  readonly bytes: number;
  readonly bytesMax: number;
  /** Event time of the oldest event that it holds; undefined while it holds none. */
  readonly oldestMs: number | undefined;
  /** Events that came in since the worker began, and those of them that it could not keep. */
  readonly events: number;
  readonly lost: number;
  /** Why the last block was not kept; undefined once another one was. */
  readonly lastError: string | undefined;
}

interface Segment {
  readonly id: number;
  size: number;
  oldestMs: number;
}

/** Compression needs some length to be worth it; a kill costs what is not in a block yet. */
const draftBytes = 256 * 1024;
const draftMs = 5_000;
/** More than this is not kept waiting for a disk or a processor that is slow. */
const waitingBytesMax = 16 * 1024 * 1024;
/** Rules look at no larger lines. */
const eventBytesMax = 16 * 1024 * 1024;
/** Files are evicted whole, so that a sixteenth of what the ring holds goes at once. */
const segmentsPerRing = 16;
const compress = promisify(zstdCompress);
const compression = { params: { [constants.ZSTD_c_compressionLevel]: 3 } };

/** Where the rings of a state folder are, one for each writer. */
export function ringFolder(stateDir: string): string {
  return join(stateDir, "ring");
}

/**
 * The last events that the rules looked at, on disk, for replay. Bounded: the oldest go first. It is a convenience beside
 * the pipeline, which it never holds up: what cannot be written is counted as lost, said, and forgotten. Nothing is synced;
 * after a kill the last seconds are missing, and what is read again stands in it twice. A writer has its folder to itself.
 */
export class EventRing {
  readonly #dir: string;
  readonly #onProblem: (code: string, message: string) => void;
  readonly #room: DiskRoom;
  #bytesMax: number | undefined;
  #draft: RingDraft | undefined;
  #timer: NodeJS.Timeout | undefined;
  #waitingBytes = 0;
  #work = Promise.resolve();
  /** Undefined until something is to be written. */
  #segments: Segment[] | undefined;
  #file: fs.promises.FileHandle | undefined;
  #events = 0;
  #lost = 0;
  #lastError: string | undefined;

  constructor(dir: string, onProblem: (code: string, message: string) => void) {
    this.#dir = dir;
    this.#onProblem = onProblem;
    this.#room = new DiskRoom(dir);
  }

  /** Keeps so many bytes from now on; undefined keeps nothing, and removes what was kept. */
  use(bytesMax: number | undefined): void {
    if (bytesMax === undefined) this.#forgetDraft();
    this.#bytesMax = bytesMax;
    this.#then(async () => {
      if (bytesMax === undefined) await this.#remove();
      else this.#open(bytesMax);
    });
  }

  get isOn(): boolean {
    return this.#bytesMax !== undefined;
  }

  /** Copies an event, and writes it at some later time. Never throws and never waits. */
  add(event: RingEvent): void {
    if (this.#bytesMax === undefined) return;
    this.#events += 1;
    if (event.kind === "line" && event.seen.length > eventBytesMax) {
      return this.#failed(1, `an event has ${event.seen.length} bytes`);
    }
    if (this.#waitingBytes > waitingBytesMax) {
      const why = "the disk or the processor does not keep up with the events";
      return this.#failed(1, why);
    }
    this.#draft ??= new RingDraft(draftBytes);
    try {
      this.#draft.add(event);
    } catch (error) {
      // No memory, for example: what could be added is kept, and the turn of the pipeline goes on.
      return this.#failed(1, reasonOf(error));
    }
    if (this.#draft.length >= draftBytes) this.#seal();
    else this.#timer ??= setTimeout(() => this.#seal(), draftMs).unref();
  }

  /** Resolves when everything that was added before is written, or counted as lost. */
  async flush(): Promise<void> {
    this.#seal();
    await this.#work;
  }

  async close(): Promise<void> {
    this.#seal();
    this.#then(() => this.#closeFile());
    await this.#work;
  }

  stats(): RingStats | undefined {
    if (this.#bytesMax === undefined) return undefined;
    const times = (this.#segments ?? []).map(({ oldestMs }) => oldestMs).filter(Number.isFinite);
    return {
      bytes: this.#size(),
      bytesMax: this.#bytesMax,
      oldestMs: times.length === 0 ? undefined : Math.min(...times),
      events: this.#events,
      lost: this.#lost,
      lastError: this.#lastError,
    };
  }

  #forgetDraft(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#draft = undefined;
  }

  #seal(): void {
    const draft = this.#draft;
    this.#forgetDraft();
    if (draft === undefined) return;
    this.#waitingBytes += draft.length;
    this.#then(async () => {
      try {
        await this.#write(draft);
        this.#lastError = undefined;
      } catch (error) {
        this.#failed(draft.count, reasonOf(error));
      } finally {
        this.#waitingBytes -= draft.length;
      }
    });
  }

  /** One thing after the other; none of them keeps the next from being done. */
  #then(step: () => Promise<void>): void {
    this.#work = this.#work.then(step).catch((error: unknown) => this.#failed(0, reasonOf(error)));
  }

  #failed(lost: number, why: string): void {
    this.#lost += lost;
    this.#lastError = `the ring of events for backtests in ${this.#dir} cannot keep them: ${why}`;
    this.#onProblem(
      "ring/failing",
      `${this.#lastError}. The pipeline goes on; what is lost cannot be replayed`,
    );
  }

  async #write(draft: RingDraft): Promise<void> {
    const { content } = draft;
    // Told its length, the compressor makes its tables no larger than that is worth; otherwise they are for megabytes.
    const packed = await compress(content, { ...compression, pledgedSrcSize: content.length });
    const bytesMax = this.#bytesMax;
    // Switched off meanwhile: nothing is to be kept.
    if (bytesMax === undefined) return;
    const block = encodeBlock(draft, packed);
    if (block.length > bytesMax / 2) {
      throw new Error(`one event takes ${block.length} bytes, more than half of it`);
    }
    const segment = await this.#segmentFor(block.length, bytesMax);
    this.#evict(bytesMax - block.length);
    try {
      this.#file ??= await fs.promises.open(segmentPath(this.#dir, segment.id), "a", 0o600);
      if ((await this.#file.stat()).nlink === 0) throw new Error("its files were removed");
      this.#room.take(block.length);
      await this.#file.appendFile(block);
    } catch (error) {
      await this.#cut(segment);
      throw error;
    }
    segment.size += block.length;
    segment.oldestMs = Math.min(segment.oldestMs, draft.oldestMs);
  }

  async #segmentFor(bytes: number, bytesMax: number): Promise<Segment> {
    const segments = this.#segments ?? this.#open(bytesMax);
    const last = segments.at(-1);
    if (last !== undefined && (last.size === 0 || last.size + bytes <= bytesMax / segmentsPerRing)) {
      return last;
    }
    await this.#closeFile();
    const next = { id: (last?.id ?? 0) + 1, size: 0, oldestMs: Number.POSITIVE_INFINITY };
    segments.push(next);
    return next;
  }

  /** The files that are there; the end of the newest may be torn. */
  #open(bytesMax: number): Segment[] {
    if (this.#segments === undefined) {
      fs.mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
      const ids = segmentIds(this.#dir, "seg");
      this.#segments = ids.map((id) => measure(segmentPath(this.#dir, id), id, id === ids.at(-1)));
    }
    this.#evict(bytesMax);
    return this.#segments;
  }

  #evict(bytesMax: number): void {
    const segments = this.#segments ?? [];
    while (segments.length > 1 && this.#size() > bytesMax) {
      const [oldest] = segments;
      if (oldest === undefined) return;
      fs.rmSync(segmentPath(this.#dir, oldest.id), { force: true });
      segments.shift();
    }
  }

  /** Takes half a block away again; what is there is looked at anew with the next one. */
  async #cut(segment: Segment): Promise<void> {
    try {
      await this.#file?.truncate(segment.size);
    } catch (error) {
      this.#onProblem("ring/failing", `Half a block is left in ${this.#dir}: ${reasonOf(error)}`);
    } finally {
      await this.#closeFile();
      // The folder itself may be gone.
      this.#segments = undefined;
    }
  }

  async #remove(): Promise<void> {
    await this.#closeFile();
    this.#segments = undefined;
    await fs.promises.rm(this.#dir, { recursive: true, force: true });
    this.#lastError = undefined;
  }

  async #closeFile(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  #size(): number {
    return (this.#segments ?? []).reduce((sum, { size }) => sum + size, 0);
  }
}

function measure(path: string, id: number, isNewest: boolean): Segment {
  const fd = fs.openSync(path, "r+");
  try {
    const { size } = fs.fstatSync(fd);
    const blocks = findBlocks(fd, size, isNewest);
    const last = blocks.at(-1);
    const end = last === undefined ? 0 : fileEnd(last);
    // Nothing is found behind what is torn; in an older file it is left as it is, and goes with it.
    if (isNewest && end < size) fs.ftruncateSync(fd, end);
    const oldestMs = Math.min(...blocks.map((block) => block.oldestMs));
    return { id, size: isNewest ? end : size, oldestMs };
  } finally {
    fs.closeSync(fd);
  }
}

function fileEnd({ offset, length }: { readonly offset: number; readonly length: number }): number {
  return offset + blockHeadBytes + length;
}
