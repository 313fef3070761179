import * as fs from "node:fs";
import type { TailConfig } from "#shipper";
import { hasWildcard, listCandidates, statOf } from "./candidates.ts";
import type { Candidate } from "./candidates.ts";
import { codeOf, reasonOf } from "./files.ts";
import type { InputContext } from "./input.ts";
import { beginsAs, fingerprintOf, headBytesMax, readHead } from "./mark.ts";
import type { Mark } from "./mark.ts";
import { TailFile } from "./tail-file.ts";

export interface TailContext extends InputContext {
  /** Whether a file, by its real path, may be read. */
  readonly mayRead: (path: string) => boolean;
}

const filesMax = 4096;
const marksMax = 10_000;

/**
 * Finds the files of one `tail` input and keeps their order over rotations. A file is known by inode and by what it
 * begins with, so that these all continue where reading stopped: renamed, renamed while the agent was down, copied and
 * truncated (the copy is read to its end first), inode reused by another file (read from its beginning).
 */
export class TailFiles {
  readonly #config: TailConfig;
  readonly #context: TailContext;
  readonly #files: TailFile[] = [];
  #marks: Mark[];
  #orders = 0;
  #refreshedAt = Number.NEGATIVE_INFINITY;
  /** Before the first look there are no new files, only files that were there before us. */
  #isFirstLook = true;
  readonly #newBase: (base: string) => boolean;
  /** The former content of a file that was just found truncated, while a copy of it is looked for. */
  #cut: Mark | undefined;

  /** `readAll`: positions were lost, so that rotated files are no history but perhaps unread. */
  constructor(config: TailConfig, marks: readonly Mark[], readAll: boolean, context: TailContext) {
    this.#config = config;
    this.#context = context;
    this.#marks = [...marks];
    const known = new Set(marks.map((mark) => mark.base));
    this.#newBase = (base) => this.#isFirstLook && !readAll && !known.has(base);
  }

  /** Open files, the one to be read first in front. */
  get files(): readonly TailFile[] {
    return this.#files;
  }

  /** Looks for new, rotated and finished files, when it is time or when a path names another file than before. */
  poll(now: number): void {
    const isDue = now - this.#refreshedAt >= this.#config.refreshMs;
    if (isDue || this.#hasMoved(now)) this.refresh(now);
    for (const file of this.#files.filter((one) => one.rotatedAt !== undefined)) {
      if (file.offset >= file.size && this.isFinal(file, now)) this.#finish(file);
    }
  }

  /** Whether a file was rotated away long enough ago that nobody writes to it any more. */
  isFinal(file: TailFile, now: number): boolean {
    return file.rotatedAt !== undefined && now - file.rotatedAt >= this.#config.rotateWaitMs;
  }

  refresh(now: number): void {
    this.#refreshedAt = now;
    const bases = [...this.#files, ...this.#marks].map((one) => one.base);
    const candidates = listCandidates(this.#config, new Set(bases));
    const present = new Set<Mark>();
    const rest: Candidate[] = [];
    for (const candidate of candidates) {
      if (!this.#isOpen(candidate, now) && !this.#continue(candidate, present)) rest.push(candidate);
    }
    for (const candidate of rest) this.#openNew(candidate, present);
    this.#files.sort((a, b) => a.order - b.order);
    this.#forget(present);
    this.#isFirstLook = false;
  }

  /** A file holds something else than before: reads a copy of the old content to its end, then the new one. */
  truncated(file: TailFile, now: number): void {
    this.#context.counters.truncations++;
    const before = { ...file.mark(false), inode: -1 };
    if (before.fingerprint.length > 0) this.#marks.push(before);
    file.restart(Number.MAX_SAFE_INTEGER);
    this.#cut = before;
    this.refresh(now);
    this.#cut = undefined;
    file.restart(++this.#orders);
    this.#files.sort((a, b) => a.order - b.order);
    if (!this.#marks.includes(before)) return;
    this.#marks = this.#marks.filter((mark) => mark !== before);
    const what = `${file.path} was truncated after byte ${before.offset} was read, and no copy of it is left`;
    this.#context.onProblem("tail/truncated", `${what}: what was written to it in between cannot be read`);
  }

  /** Positions to save. */
  marks(): readonly Mark[] {
    return [...this.#files.map((file) => file.mark(false)), ...this.#marks];
  }

  close(): void {
    for (const file of this.#files.splice(0)) file.close();
  }

  /** Whether a path names another file than the one that is read, or names one again. */
  #hasMoved(now: number): boolean {
    let moved = false;
    const current = this.#files.filter((file) => file.rotatedAt === undefined);
    for (const file of current) {
      const stat = statOf(file.path);
      if (stat?.ino === file.inode && stat.dev === file.device) continue;
      file.rotatedAt = now;
      moved = true;
    }
    const read = new Set(current.map((file) => file.path));
    return (
      moved || this.#config.paths.some((p) => !hasWildcard(p) && !read.has(p) && statOf(p) !== undefined)
    );
  }

  #isOpen(candidate: Candidate, now: number): boolean {
    const file = this.#files.find((f) => f.inode === candidate.inode && f.device === candidate.device);
    if (file === undefined) return false;
    file.path = candidate.path;
    if (candidate.isRotated) file.rotatedAt ??= now;
    return true;
  }

  /** Goes on with a file that is known by its inode and still begins as it did. */
  #continue(candidate: Candidate, present: Set<Mark>): boolean {
    const mark = this.#marks.find((m) => m.inode === candidate.inode);
    if (mark === undefined) return false;
    if (mark.done && candidate.size === mark.offset && candidate.isRotated) {
      present.add(mark);
      return true;
    }
    const fd = this.#open(candidate);
    if (fd === undefined) return true;
    if (candidate.size < mark.offset || !beginsAs(fd, mark)) {
      fs.closeSync(fd);
      // The inode holds something else now. What was not read to its end may still lie in a copy.
      const orphan = mark.done ? [] : [{ ...mark, inode: -1 }];
      this.#marks = [...this.#marks.filter((m) => m !== mark), ...orphan];
      return false;
    }
    this.#add(fd, candidate, mark.offset);
    this.#marks = this.#marks.filter((m) => m !== mark);
    return true;
  }

  #openNew(candidate: Candidate, present: ReadonlySet<Mark>): void {
    const fd = this.#open(candidate);
    if (fd === undefined) return;
    const copied = candidate.isRotated ? this.#copiedFrom(fd, present) : undefined;
    if (copied === "still-read") return fs.closeSync(fd);
    if (copied !== undefined) {
      this.#marks = this.#marks.filter((mark) => mark !== copied);
      return this.#add(fd, candidate, Math.min(copied.offset, candidate.size));
    }
    const isOld = this.#newBase(candidate.base);
    if (isOld && candidate.isRotated) {
      // Rotated before this agent ever ran here: history, as for Fluent Bit.
      this.#marks.push(skippedMark(fd, candidate));
      return fs.closeSync(fd);
    }
    const fromEnd = isOld && !this.#config.readFromHead;
    return this.#add(fd, candidate, fromEnd ? endOfLines(fd, candidate.size) : 0);
  }

  /**
   * The mark of a file that this one is a copy of, as copytruncate makes them; `still-read` while the original has not
   * been truncated yet.
   */
  #copiedFrom(fd: number, present: ReadonlySet<Mark>): Mark | "still-read" | undefined {
    const isCopyOf = (mark: Mark) => mark.fingerprint.length > 0 && beginsAs(fd, mark);
    if (this.#files.some((file) => isCopyOf(file.mark(false)))) return "still-read";
    const found = this.#marks.find(isCopyOf);
    return found !== undefined && present.has(found) ? "still-read" : found;
  }

  #add(fd: number, candidate: Candidate, offset: number): void {
    const file = new TailFile(fd, { ...candidate, order: ++this.#orders }, offset);
    if (candidate.isRotated) file.rotatedAt = this.#refreshedAt;
    this.#files.push(file);
  }

  #open(candidate: Candidate): number | undefined {
    try {
      if (this.#files.length >= filesMax) throw new Error(`more than ${filesMax} files are open`);
      const real = fs.realpathSync(candidate.path);
      if (!this.#context.mayRead(real)) throw new Error(`the agent's allow-list does not allow ${real}`);
      const fd = fs.openSync(real, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK | fs.constants.O_NOFOLLOW);
      if (fs.fstatSync(fd).ino === candidate.inode) return fd;
      // Rotated between the two looks: the next one sees it under its new name.
      fs.closeSync(fd);
    } catch (error) {
      if (codeOf(error) !== "ENOENT") {
        this.#context.onProblem("tail/open", `Cannot read ${candidate.path}: ${reasonOf(error)}`);
      }
    }
    this.#refreshedAt = Number.NEGATIVE_INFINITY;
    return undefined;
  }

  #finish(file: TailFile): void {
    this.#marks.push(file.mark(true));
    this.#files.splice(this.#files.indexOf(file), 1);
    file.close();
  }

  /** Drops marks of files that are gone; one that was not read to its end is a loss to be told. */
  #forget(present: ReadonlySet<Mark>): void {
    this.#marks = this.#marks.filter((mark) => {
      if (present.has(mark) || mark === this.#cut) return true;
      if (!mark.done) {
        this.#context.counters.lost++;
        const what = `${mark.path} was removed or overwritten while nobody read it, after byte ${mark.offset}`;
        this.#context.onProblem("tail/gone", `${what}: what was written to it afterwards cannot be read`);
      }
      return false;
    });
    if (this.#marks.length > marksMax) this.#marks = this.#marks.slice(-marksMax);
  }
}

function skippedMark(fd: number, candidate: Candidate): Mark {
  const { path, base, device, inode, size } = candidate;
  const fingerprint = fingerprintOf(readHead(fd, Math.min(size, headBytesMax)));
  return { path, base, device, inode, offset: size, fingerprint, done: true };
}

/** Where the last whole line ends, looking back a little: reading begins with a line, not in the middle of one. */
function endOfLines(fd: number, size: number): number {
  const tail = Buffer.allocUnsafe(Math.min(size, 65_536));
  const read = tail.length === 0 ? 0 : fs.readSync(fd, tail, 0, tail.length, size - tail.length);
  const newline = tail.subarray(0, read).lastIndexOf(0x0a);
  return newline === -1 ? size : size - tail.length + newline + 1;
}
