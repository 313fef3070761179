import * as fs from "node:fs";
import { join } from "node:path";
import { FolderSync } from "./durable.ts";
import { FdsInUse } from "./fds-in-use.ts";
import { reasonOf, syncData, writeAllSync } from "./files.ts";
import { isMarksFile, isParkedFile, marksPath, readMarks, readParkedFile } from "./parked.ts";

/** So much is kept in memory until a sync says that it is on the disk. */
const unsyncedBytesMax = 16 * 1024 * 1024;

/** Why something was set aside, and where it came from. */
export interface ParkedLine {
  readonly reason: string;
  /** Where the line stood; absent for records that an output refused. */
  readonly source?: {
    readonly path: string;
    readonly inode: number;
    readonly offset: number;
    readonly length: number;
  };
  /** The output that refused it. */
  readonly output?: string;
  readonly tag: string;
}

/** What readers of files need of it. */
export type Parking = Pick<DeadLetter, "openLong" | "addBytes" | "park" | "parkFile">;

export interface DeadLetterOptions {
  readonly bytesMax: number;
  readonly onProblem: (message: string) => void;
  /** Called with the lines that had to go to keep the bound. */
  readonly onEvicted: (files: number) => void;
}

/**
 * What could not be used, kept with reason and place: JSON lines in `parked-N.jsonl` (`line`, or `base64` when it is not
 * UTF-8), and one file per line that is too long. Bounded: the oldest files go first, which is counted and reported.
 */
export class DeadLetter {
  readonly #dir: string;
  readonly #options: DeadLetterOptions;
  #fd: number | undefined;
  /** The file that is being written. */
  #name: string | undefined;
  #size = 0;
  #total = 0;
  #held: Buffer[] = [];
  /** Written since the last sync: after one that failed it goes to another file, as nobody knows what of it is on the disk. */
  #unsynced: Buffer[] = [];
  #unsyncedBytes = 0;
  #syncing: Promise<void> = Promise.resolve();
  readonly #fds = new FdsInUse();
  readonly #folder: FolderSync;

  constructor(dir: string, options: DeadLetterOptions) {
    this.#dir = dir;
    this.#folder = new FolderSync(dir, true);
    this.#options = options;
    fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
    const files = this.#files().filter(({ name }) => !isMarksFile(name));
    this.#total = files.reduce((sum, file) => sum + file.size, 0);
  }

  /** Whether everything that was parked is written; when not, `retry` has to succeed before positions may move. */
  get isSettled(): boolean {
    return this.#held.length === 0;
  }

  park(line: Uint8Array, about: ParkedLine): void {
    const bytes = Buffer.from(line.buffer, line.byteOffset, line.byteLength);
    const text = bytes.toString("utf8");
    const content = Buffer.from(text).equals(bytes) ? { line: text } : { base64: bytes.toString("base64") };
    const entry = { at: new Date().toISOString(), ...about, ...content };
    this.#held.push(Buffer.from(`${JSON.stringify(entry)}\n`));
    this.retry();
  }

  /** Notes a line that is kept in a file of its own. */
  parkFile(name: string, about: ParkedLine): void {
    const entry = { at: new Date().toISOString(), ...about, file: name };
    this.#held.push(Buffer.from(`${JSON.stringify(entry)}\n`));
    this.retry();
  }

  /** A file for the bytes of one long line. The same line gets the same file, so that reading it twice keeps it once. */
  openLong(name: string): number {
    this.#folder.touch();
    return fs.openSync(join(this.#dir, name), "w", 0o600);
  }

  addBytes(size: number): void {
    this.#total += size;
    this.#evict();
  }

  /** Writes what could not be written before. */
  retry(): void {
    if (this.#held.length === 0) return;
    const bytes = this.#held.reduce((sum, buffer) => sum + buffer.length, 0);
    const fd = this.#open();
    if (fd === undefined) return;
    try {
      writeAllSync(fd, this.#held);
    } catch (error) {
      fs.ftruncateSync(fd, this.#size);
      this.#options.onProblem(`Cannot write to the dead letter folder ${this.#dir}: ${reasonOf(error)}`);
      return;
    }
    this.#unsynced.push(...this.#held);
    this.#unsyncedBytes += bytes;
    this.#held = [];
    this.#size += bytes;
    this.addBytes(bytes);
    if (this.#unsyncedBytes > unsyncedBytesMax) this.#syncNow();
  }

  /** Resolves when everything parked before the call survives power loss. */
  sync(): Promise<void> {
    const turn = this.#syncing.catch(() => {}).then(() => this.#sync());
    this.#syncing = turn;
    return turn;
  }

  async #sync(): Promise<void> {
    this.retry();
    if (!this.isSettled) throw new Error(`the dead letter folder ${this.#dir} cannot be written`);
    const count = this.#unsynced.length;
    const fd = this.#fd;
    if (fd !== undefined && count > 0) {
      try {
        await this.#fds.use(fd, syncData);
      } catch (error) {
        if (this.#fd === fd) this.#writeAgain(error);
        throw error;
      }
      // A file that was closed meanwhile was synced then, or what it held is written again.
      if (this.#fd === fd) this.#forgetSynced(count);
    }
    await this.#folder.sync();
  }

  #forgetSynced(count: number): void {
    this.#unsynced.splice(0, count);
    this.#unsyncedBytes = this.#unsynced.reduce((sum, { length }) => sum + length, 0);
  }

  #syncNow(): void {
    if (this.#fd === undefined) return;
    try {
      fs.fdatasyncSync(this.#fd);
      this.#forgetSynced(this.#unsynced.length);
    } catch (error) {
      this.#writeAgain(error);
    }
  }

  /** After a failed sync the system forgets what it could not write: it goes to another file, perhaps a second time. */
  #writeAgain(error: unknown): void {
    this.#options.onProblem(`Cannot sync the dead letter folder ${this.#dir}: ${reasonOf(error)}`);
    this.#held.unshift(...this.#unsynced);
    this.#unsynced = [];
    this.#unsyncedBytes = 0;
    this.close();
  }

  /** Makes room: files of which every entry was sent again go, but for the one that is being written. */
  dropReplayed(): void {
    for (const marks of this.#files().filter(({ name }) => isMarksFile(name))) {
      const name = marks.name.replace(/\.replayed$/, "");
      if (name === this.#name) continue;
      const done = readMarks(this.#dir, name);
      const entries = fs.existsSync(join(this.#dir, name)) ? readParkedFile(this.#dir, name) : [];
      if (!entries.every(({ ref }) => done.has(ref.offset))) continue;
      for (const { entry } of entries) if (entry?.file !== undefined) this.#remove(entry.file);
      this.#remove(name);
    }
  }

  close(): void {
    if (this.#fd !== undefined) this.#fds.close(this.#fd);
    this.#fd = undefined;
    this.#name = undefined;
  }

  #open(): number | undefined {
    if (this.#fd !== undefined && this.#size < this.#options.bytesMax / 8) return this.#fd;
    try {
      if (this.#fd !== undefined) this.#syncNow();
      this.close();
      const numbers = this.#files().map((file) => Number(/^parked-(\d+)/.exec(file.name)?.[1] ?? 0));
      // Names are not used again, also after files went: whoever noted one must not find something else under it.
      const next = Math.max(Math.floor(Date.now() / 1000), ...numbers.map((number) => number + 1));
      const name = `parked-${String(next).padStart(10, "0")}.jsonl`;
      this.#fd = fs.openSync(join(this.#dir, name), "ax", 0o600);
      this.#name = name;
      this.#size = 0;
      this.#folder.touch();
      return this.#fd;
    } catch (error) {
      this.#options.onProblem(`Cannot open a dead letter file in ${this.#dir}: ${reasonOf(error)}`);
      return undefined;
    }
  }

  #evict(): void {
    if (this.#total <= this.#options.bytesMax) return;
    const files = this.#files()
      .filter(({ name }) => name !== this.#name && !isMarksFile(name))
      .sort((a, b) => a.mtimeMs - b.mtimeMs);
    let gone = 0;
    // The newest stays: it may be a line that is still being read.
    for (const { name } of files.slice(0, -1)) {
      if (this.#total <= this.#options.bytesMax) break;
      this.#remove(name);
      gone++;
    }
    if (gone === 0) return;
    this.#options.onEvicted(gone);
    this.#options.onProblem(
      `The dead letter folder ${this.#dir} is over ${this.#options.bytesMax} bytes: its ${gone} oldest files were removed`,
    );
  }

  /** Removes a file, and what was noted about it. */
  #remove(name: string): void {
    const path = join(this.#dir, name);
    this.#total -= fs.statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    fs.rmSync(path, { force: true });
    // Marks go last: without them everything would be sent again.
    if (isParkedFile(name)) fs.rmSync(marksPath(this.#dir, name), { force: true });
  }

  #files(): { name: string; size: number; mtimeMs: number }[] {
    return fs.readdirSync(this.#dir).map((name) => {
      const { size, mtimeMs } = fs.statSync(join(this.#dir, name));
      return { name, size, mtimeMs };
    });
  }
}
