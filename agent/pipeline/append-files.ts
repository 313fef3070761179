import * as fs from "node:fs";
import { join } from "node:path";
import type { RotationConfig } from "#shipper";
import { Compressor } from "./compressor.ts";
import { FolderSync, SyncGuard } from "./durable.ts";
import { codeOf, reasonOf, syncData, writeAllSync } from "./files.ts";
import { isRotationDue, listRotated, rotatedPath } from "./rotation.ts";

export interface AppendOptions {
  readonly directory: string;
  /** Whether a missing folder is made. */
  readonly mkdir: boolean;
  /** Whether each write is on the disk before the next one. */
  readonly isSyncedAtOnce: boolean;
  readonly rotation: RotationConfig;
  /** Whether a folder, by its real path, may be written to. */
  readonly mayWrite: (folder: string) => boolean;
  readonly onProblem: (message: string) => void;
}

interface OpenFile {
  readonly name: string;
  readonly path: string;
  readonly fd: number;
  readonly inode: number;
  /** Whether something was written since the last sync. */
  isDirty: boolean;
  /** Its name since it was rotated by us. */
  rotatedTo: string | undefined;
}

const openMax = 64;

/**
 * Files of one folder that only grow, a whole batch of lines at a time. What is closed, rotated or found moved is synced
 * first: what `sync` was called for is on the disk when it resolves, whatever became of the file meanwhile.
 */
export class AppendFiles {
  readonly #options: AppendOptions;
  readonly #compressor: Compressor;
  readonly #open = new Map<string, OpenFile>();
  /** Names whose rotated files were looked after. */
  readonly #known = new Set<string>();
  /** No longer written to; closed after the next sync. */
  #retired: OpenFile[] = [];
  readonly #folder: FolderSync;
  #syncing: Promise<void> = Promise.resolve();
  readonly #guard = new SyncGuard();

  constructor(options: AppendOptions) {
    this.#options = options;
    this.#folder = new FolderSync(options.directory, false);
    this.#compressor = new Compressor(options.onProblem);
  }

  /** Appends whole lines or nothing; throws when it cannot. */
  append(name: string, lines: readonly Buffer[], nowMs: number): void {
    const bytes = lines.reduce((sum, buffer) => sum + buffer.length, 0);
    let file = this.#fileFor(name);
    let { size, mtimeMs } = fs.fstatSync(file.fd);
    if (isRotationDue(this.#options.rotation, { size, mtimeMs }, bytes, nowMs)) {
      this.#rotate(file, nowMs);
      file = this.#fileFor(name);
      ({ size, mtimeMs } = fs.fstatSync(file.fd));
    }
    file.isDirty = true;
    try {
      writeAllSync(file.fd, lines);
    } catch (error) {
      this.#takeBack(file, size);
      throw error;
    }
  }

  /** False after a sync that failed: see `sync`. */
  get isDurable(): boolean {
    return this.#guard.isDurable;
  }

  /** Resolves when everything that was appended before the call survives power loss. */
  sync(): Promise<void> {
    const turn = this.#syncing.catch(() => {}).then(() => this.#sync());
    this.#syncing = turn;
    return turn;
  }

  async close(): Promise<void> {
    this.#retired.push(...this.#open.values());
    this.#open.clear();
    try {
      await this.sync();
    } finally {
      for (const { fd } of this.#retired) fs.closeSync(fd);
      this.#retired = [];
      await this.#compressor.close();
    }
  }

  async #sync(): Promise<void> {
    this.#guard.check();
    const closing = this.#retired.slice();
    for (const file of [...closing, ...this.#open.values()]) await this.#syncFile(file);
    await this.#folder.sync();
    this.#retired = this.#retired.filter((file) => !closing.includes(file));
    for (const { fd, rotatedTo } of closing) {
      fs.closeSync(fd);
      if (rotatedTo !== undefined && this.#options.rotation.compress) this.#compressor.add(rotatedTo);
    }
    this.#retireMoved();
  }

  async #syncFile(file: OpenFile): Promise<void> {
    if (!file.isDirty) return;
    file.isDirty = false;
    try {
      await syncData(file.fd);
    } catch (error) {
      throw this.#guard.fail(file.path, error);
    }
  }

  /** Undoes a write that did not end; a file in which that fails is opened anew, which cuts half lines. */
  #takeBack(file: OpenFile, size: number): void {
    try {
      fs.ftruncateSync(file.fd, size);
    } catch (error) {
      this.#options.onProblem(`cannot cut half a line off ${file.path}: ${reasonOf(error)}`);
      this.#retire(file);
    }
  }

  #fileFor(name: string): OpenFile {
    return this.#open.get(name) ?? this.#openFile(name);
  }

  #openFile(name: string): OpenFile {
    const { directory, mkdir, isSyncedAtOnce, mayWrite } = this.#options;
    if (mkdir) fs.mkdirSync(directory, { recursive: true, mode: 0o750 });
    const real = fs.realpathSync(directory);
    if (!mayWrite(real)) {
      throw new Error(`it leads to ${real}, which the agent's allow-list does not allow`);
    }
    const path = join(directory, name);
    const { O_RDWR, O_APPEND, O_CREAT, O_NOFOLLOW, O_DSYNC } = fs.constants;
    const flags = O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | (isSyncedAtOnce ? O_DSYNC : 0);
    const fd = fs.openSync(path, flags, 0o640);
    cutTornLine(fd);
    const { ino: inode } = fs.fstatSync(fd);
    const file: OpenFile = { name, path, fd, inode, isDirty: true, rotatedTo: undefined };
    const [oldest] = this.#open.values();
    if (oldest !== undefined && this.#open.size >= openMax) this.#retire(oldest);
    this.#open.set(name, file);
    this.#folder.touch();
    if (!this.#known.has(name)) this.#lookAfter(name);
    return file;
  }

  #rotate(file: OpenFile, nowMs: number): void {
    const to = rotatedPath(file.path, nowMs);
    fs.renameSync(file.path, to);
    file.rotatedTo = to;
    this.#folder.touch();
    this.#retire(file);
    this.#prune(file.name);
  }

  /** Goes on with what an earlier process left: rotated files to compress or to remove. */
  #lookAfter(name: string): void {
    this.#known.add(name);
    this.#prune(name);
    if (!this.#options.rotation.compress) return;
    for (const path of listRotated(this.#options.directory, name)) {
      if (!path.endsWith(".gz")) this.#compressor.add(path);
    }
  }

  #prune(name: string): void {
    const { keep } = this.#options.rotation;
    if (keep === undefined) return;
    try {
      const rotated = listRotated(this.#options.directory, name);
      for (const path of rotated.slice(0, Math.max(0, rotated.length - keep))) {
        this.#compressor.forget(path);
        fs.rmSync(path, { force: true });
      }
    } catch (error) {
      this.#options.onProblem(`cannot remove old files of ${name}: ${reasonOf(error)}`);
    }
  }

  /** A file that somebody else rotated away is left, so that the next record begins a new one. */
  #retireMoved(): void {
    for (const file of this.#open.values()) {
      if (inodeOf(file.path) !== file.inode) this.#retire(file);
    }
  }

  #retire(file: OpenFile): void {
    this.#open.delete(file.name);
    this.#retired.push(file);
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
