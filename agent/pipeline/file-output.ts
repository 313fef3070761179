import * as fs from "node:fs";
import { join } from "node:path";
import type { FileConfig } from "#shipper";
import type { Batch } from "./batch.ts";
import { codeOf, reasonOf, syncData, syncFolder, writeAllSync } from "./files.ts";
import type { OutputContext } from "./output.ts";
import { QueuedOutput } from "./queued-output.ts";
import type { Delivery, Portion } from "./queued-output.ts";
import type { StoredEntry } from "./segment.ts";

interface OpenFile {
  readonly path: string;
  readonly fd: number;
  readonly inode: number;
}

const openMax = 64;

/**
 * Appends records to files, one a line. Writes straight to the file while that works; when it does not (full disk, no
 * permission), records go to the queue and follow in order when it works again.
 */
export class FileOutput extends QueuedOutput {
  readonly config: FileConfig;
  protected readonly portion: Portion = { bytesMax: 4e6, countMax: 1e6, gatherMs: 0 };
  readonly #files = new Map<string, OpenFile>();
  #dirtyFolder = false;

  constructor(config: FileConfig, context: OutputContext) {
    super(config, context);
    this.config = config;
    if (!this.queue.isEmpty) this.startSender();
  }

  override take(batch: Batch): void {
    if (!this.queue.isEmpty || !this.isSettled) return super.take(batch);
    const why = this.#write(batch.tag, batch.count, batch.buffers());
    if (why === undefined) return undefined;
    this.problem("write", why);
    return super.take(batch);
  }

  override async sync(): Promise<void> {
    await super.sync();
    for (const file of this.#files.values()) await syncData(file.fd);
    if (this.#dirtyFolder) await syncFolder(this.config.directory);
    this.#dirtyFolder = false;
    this.#closeMoved();
  }

  override async close(deadlineMs: number): Promise<void> {
    await super.close(deadlineMs);
    for (const file of this.#files.values()) {
      fs.fdatasyncSync(file.fd);
      fs.closeSync(file.fd);
    }
    this.#files.clear();
  }

  protected async deliver(entries: readonly StoredEntry[]): Promise<Delivery> {
    // Written once, even if a later entry fails and all come again: at least once, in order.
    for (const entry of entries) {
      const why = this.#write(entry.tag, entry.count, [entry.body]);
      if (why !== undefined) return Promise.resolve({ kind: "retry", why });
    }
    // The queue forgets the entries now, so that the file has to be durable first.
    await this.sync();
    return { kind: "done" };
  }

  /** Appends whole lines or nothing; says why when it cannot. */
  #write(tag: string, count: number, buffers: readonly Buffer[]): string | undefined {
    const name = this.config.file ?? tag.replaceAll("/", ".");
    const path = join(this.config.directory, name);
    try {
      const file = this.#open(name, path);
      const { size } = fs.fstatSync(file.fd);
      try {
        writeAllSync(file.fd, buffers);
      } catch (error) {
        fs.ftruncateSync(file.fd, size);
        throw error;
      }
      this.delivered += count;
      this.deliveredBytes += buffers.reduce((sum, buffer) => sum + buffer.length, 0);
      return undefined;
    } catch (error) {
      return `cannot write to ${path}: ${reasonOf(error)}`;
    }
  }

  #open(name: string, path: string): OpenFile {
    const known = this.#files.get(name);
    if (known !== undefined) return known;
    fs.mkdirSync(this.config.directory, { recursive: true, mode: 0o750 });
    const real = fs.realpathSync(this.config.directory);
    if (!this.context.mayWrite(real)) {
      throw new Error(`it leads to ${real}, which the agent's allow-list does not allow`);
    }
    const flags =
      fs.constants.O_RDWR | fs.constants.O_APPEND | fs.constants.O_CREAT | fs.constants.O_NOFOLLOW;
    const fd = fs.openSync(path, flags, 0o640);
    cutTornLine(fd);
    const file = { path, fd, inode: fs.fstatSync(fd).ino };
    if (this.#files.size >= openMax) this.#closeOldest();
    this.#files.set(name, file);
    this.#dirtyFolder = true;
    return file;
  }

  #closeOldest(): void {
    for (const [name, file] of this.#files) {
      fs.fdatasyncSync(file.fd);
      fs.closeSync(file.fd);
      this.#files.delete(name);
      return;
    }
  }

  /** A file that somebody rotated away is left, so that the next record begins a new one. */
  #closeMoved(): void {
    for (const [name, file] of this.#files) {
      if (inodeOf(file.path) === file.inode) continue;
      fs.closeSync(file.fd);
      this.#files.delete(name);
    }
  }
}

function inodeOf(path: string): number | undefined {
  try {
    return fs.lstatSync(path).ino;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Half a line at the end is left of a write that a crash cut; its record was never reported as safe and comes again. */
function cutTornLine(fd: number): void {
  const { size } = fs.fstatSync(fd);
  const chunk = Buffer.allocUnsafe(65_536);
  for (let end = size; end > 0;) {
    const start = Math.max(end - chunk.length, 0);
    const read = fs.readSync(fd, chunk, 0, end - start, start);
    const newline = chunk.subarray(0, read).lastIndexOf(0x0a);
    if (newline !== -1) {
      if (start + newline + 1 < size) fs.ftruncateSync(fd, start + newline + 1);
      return;
    }
    end = start;
  }
  if (size > 0) fs.ftruncateSync(fd, 0);
}
