import * as fs from "node:fs";
import type { TailConfig } from "#shipper";
import { hasWildcard, isNamedBy, listCandidates, whatIs } from "./candidates.ts";
import type { Candidate, Listing } from "./candidates.ts";
import { codeOf, reasonOf } from "./files.ts";
import { FileMarks } from "./file-marks.ts";
import type { InputContext } from "./input.ts";
import { beginsAs, headBytesMax, readHead } from "./mark.ts";
import type { FileMark, Mark } from "./mark.ts";
import { descriptorsForFiles, openReal } from "./open-real.ts";
import { PackedFiles } from "./packed-files.ts";
import type { Unpacked } from "./packed-files.ts";
import { TailFile } from "./tail-file.ts";
import type { Reached } from "./tail-file.ts";

export interface TailContext extends InputContext {
  /** Whether a file, by its real path, may be read. */
  readonly mayRead: (path: string) => boolean;
  /** Where compressed files are unpacked to. */
  readonly unpackDir: string;
}

/** A candidate with its place in the order of reading. */
export interface Found extends Candidate {
  readonly order: number;
}

/** So many files may be open at once; fewer where the process may not have as many descriptors. */
const filesMax = Math.min(4096, descriptorsForFiles());
/** How often paths are looked at; more rarely when there are thousands. */
const pollMs = 50;
const filesPerMs = 10;

/**
 * Finds the files of one `tail` input and keeps their order over rotations. A file is known by inode and by what it
 * begins with, so that these all continue where reading stopped: renamed, renamed while the agent was down, copied and
 * truncated (the copy is read to its end first), compressed before it was read, inode reused by another file (read from
 * its beginning). Files are opened as soon as they are seen, also while reading waits: what is open cannot be lost.
 */
export class TailFiles {
  readonly #config: TailConfig;
  readonly #context: TailContext;
  readonly #marks: FileMarks;
  readonly #packed: PackedFiles;
  #files: TailFile[] = [];
  #orders = 0;
  /** When the last look was; made long ago when another is due at once. */
  #refreshedAt = Number.NEGATIVE_INFINITY;
  #lookedAt = 0;
  #polledAt = Number.NEGATIVE_INFINITY;
  /** Before it, what is there of a path that was never looked for is old: its rotated files are history. */
  #isFirstLook = true;
  readonly #readAll: boolean;
  #bases: ReadonlySet<string>;
  readonly #knownPaths: readonly string[];
  /** Why paths could not be read at the last look. */
  #failed = new Map<string, string>();
  /** Changes with every change of `files`. */
  version = 0;

  /** `readAll`: positions were lost, so that rotated files are no history but perhaps unread. */
  constructor(config: TailConfig, marks: readonly Mark[], readAll: boolean, context: TailContext) {
    this.#config = config;
    this.#context = context;
    this.#readAll = readAll;
    const ofFiles = marks.filter((mark) => mark.kind === "file");
    this.#knownPaths = marks.flatMap((mark) => (mark.kind === "path" ? [mark.path] : []));
    this.#marks = new FileMarks(ofFiles, context);
    this.#packed = new PackedFiles(context.unpackDir, {
      onUnpacked: (unpacked) => this.#addUnpacked(unpacked),
      onFailed: (file, mark, why) => this.#marks.damaged(file, mark, why),
      onProblem: context.onProblem,
    });
    this.#bases = new Set(ofFiles.map(({ base }) => base));
  }

  /** Open files, the one to be read first in front. */
  get files(): readonly TailFile[] {
    return this.#files;
  }

  /** What cannot be read at the moment, and why. */
  get failed(): ReadonlyMap<string, string> {
    return this.#failed;
  }

  /** Looks for new, rotated and finished files, when it is time or when a path names another file than before. */
  poll(now: number): void {
    if (now - this.#polledAt < Math.max(pollMs, this.#files.length / filesPerMs)) return;
    this.#polledAt = now;
    const isDue = now - this.#refreshedAt >= this.#config.refreshMs;
    if (this.#hasMoved(now) || isDue) this.refresh(now);
    for (const file of this.#files.filter((one) => this.isFinal(one, now))) {
      if (file.isDone()) this.#finish(file);
    }
  }

  /** Whether a file was rotated away long enough ago that nobody writes to it any more. */
  isFinal(file: TailFile, now: number): boolean {
    if (file.packedSize !== undefined) return true;
    return file.rotatedAt !== undefined && now - file.rotatedAt >= this.#config.rotateWaitMs;
  }

  /** Whether reading a path has to wait for a file that comes before and is being unpacked. */
  isWaiting(base: string): boolean {
    return this.#packed.isBusyWith(base);
  }

  get isUnpacking(): boolean {
    return this.#packed.isBusy;
  }

  refresh(now: number): void {
    this.#refreshedAt = this.#lookedAt = now;
    this.#failed = new Map();
    const listing = this.#list();
    if (listing === undefined) return;
    for (const [path, why] of listing.unreadable) this.#fail(path, path, why);
    const found = listing.candidates.map((one, index) => ({ ...one, order: this.#orders + index + 1 }));
    this.#orders += found.length;
    this.#marks.beginLook();
    const open = new Map(this.#files.map((file) => [`${file.device}:${file.inode}`, file]));
    const rest = found.filter((one) => !this.#isOpen(one, open, now) && !this.#continue(one));
    for (const one of rest) {
      if (one.isPacked) this.#openPacked(one, now);
      else this.#openNew(one, now);
    }
    this.#sort();
    this.#marks.endLook(listing);
    // Those that are gone, and of which nothing is left, are new when they come again.
    const plain = this.#config.paths.filter((path) => !hasWildcard(path));
    const known = [...found, ...this.#files, ...this.#marks.all].map(({ base }) => base);
    this.#bases = new Set([...plain, ...known]);
    this.#isFirstLook = false;
  }

  /** A file holds something else than before: reads a copy of the old content to its end, then the new one. */
  truncated(file: TailFile, now: number): void {
    const before = { ...file.mark(false), inode: -1 };
    file.restart(Number.MAX_SAFE_INTEGER);
    this.#marks.cut(before);
    this.refresh(now);
    file.restart(++this.#orders);
    this.#sort();
    const { counters, onProblem } = this.#context;
    if (!this.#marks.endCut(before)) {
      counters.rotated++;
      return;
    }
    counters.truncations++;
    const what = `${file.path} was truncated after byte ${before.offset} was read, and no copy of it is left`;
    onProblem("tail/truncated", `${what}: what was written to it in between cannot be read`);
  }

  /** Positions to save. */
  marks(): readonly Mark[] {
    const paths = this.#config.paths.map((path) => ({ kind: "path" as const, path }));
    return [...paths, ...this.#files.map((file) => file.mark(false)), ...this.#marks.all];
  }

  close(): void {
    this.#packed.close();
    for (const file of this.#files.splice(0)) file.close();
  }

  #sort(): void {
    this.#files.sort((a, b) => a.order - b.order);
    this.version++;
  }

  #list(): Listing | undefined {
    try {
      return listCandidates(this.#config, [...this.#files, ...this.#marks.all]);
    } catch (error) {
      this.#fail(this.#config.paths.join(","), this.#config.paths.join(", "), reasonOf(error));
      return undefined;
    }
  }

  #fail(what: string, path: string, why: string): void {
    this.#failed.set(what, why);
    this.#context.onProblem("tail/open", `Input "${this.#config.alias}": cannot read ${path}: ${why}`);
  }

  /** Whether a path names another file than the one that is read, or names one again. */
  #hasMoved(now: number): boolean {
    let moved = false;
    const current = this.#files.filter((file) => file.rotatedAt === undefined);
    for (const file of current) {
      const named = whatIs(file.base);
      if (named === "unknown" || (named?.ino === file.inode && named.dev === file.device)) continue;
      this.#rotated(file, now);
      moved = true;
    }
    const read = new Set(current.map((file) => file.base));
    const isNew = (path: string) =>
      !hasWildcard(path) && !read.has(path) && !this.#failed.has(path) && whatIs(path) !== undefined;
    return moved || this.#config.paths.some(isNew);
  }

  #rotated(file: TailFile, now: number): void {
    if (file.rotatedAt !== undefined) return;
    file.rotatedAt = now;
    this.#context.counters.rotated++;
  }

  #isOpen(candidate: Found, open: ReadonlyMap<string, TailFile>, now: number): boolean {
    const file = open.get(`${candidate.device}:${candidate.inode}`);
    if (file === undefined) {
      const unpacking = this.#packed.unpacking(candidate);
      if (unpacking?.mark !== undefined) this.#marks.keep(unpacking.mark);
      return unpacking !== undefined;
    }
    file.path = candidate.path;
    if (candidate.isRotated) this.#rotated(file, now);
    return true;
  }

  /** Goes on with a file that is known by its inode and still begins as it did. */
  #continue(candidate: Found): boolean {
    const mark = this.#marks.of(candidate);
    if (mark === undefined) return false;
    if (mark.done && candidate.size === mark.offset && candidate.isRotated) {
      this.#marks.keep(mark);
      return true;
    }
    if (candidate.isPacked) return this.#continuePacked(candidate, mark);
    const fd = this.#open(candidate);
    if (fd === undefined) {
      this.#marks.keep(mark);
      return true;
    }
    if (candidate.size < mark.offset || !beginsAs(readHead(fd, mark.fingerprint.length), mark)) {
      fs.closeSync(fd);
      this.#marks.orphan(mark);
      return false;
    }
    this.#marks.take(mark);
    this.#add(fd, candidate, mark, mark.identity);
    return true;
  }

  /** Unpacking was interrupted. */
  #continuePacked(candidate: Found, mark: FileMark): boolean {
    const fd = this.#open(candidate);
    const head = fd === undefined ? undefined : this.#packed.peek(fd, candidate);
    if (fd !== undefined && head !== undefined && !mark.done && beginsAs(head, mark)) {
      this.#packed.unpack(fd, candidate, mark);
      this.#marks.keep(mark);
      return true;
    }
    if (fd !== undefined) fs.closeSync(fd);
    if (head === undefined) this.#marks.keep(mark);
    else this.#marks.orphan(mark);
    return head === undefined;
  }

  #openNew(candidate: Found, now: number): void {
    const fd = this.#open(candidate);
    if (fd === undefined) return undefined;
    const head = readHead(fd, headBytesMax);
    const copied = candidate.isRotated ? this.#copiedFrom(candidate, head, fd) : undefined;
    if (copied === "still-read") return fs.closeSync(fd);
    if (copied !== undefined) {
      this.#marks.take(copied);
      const offset = Math.min(copied.offset, candidate.size);
      return this.#add(fd, candidate, { ...copied, offset }, copied.identity);
    }
    const isOld = this.#isOld(candidate.base);
    if (isOld && candidate.isRotated) {
      // Rotated before this agent ever ran here: history, as for Fluent Bit.
      this.#marks.skip(candidate, head);
      return fs.closeSync(fd);
    }
    if (this.#isIgnored(candidate, now)) return fs.closeSync(fd);
    const isNewBase = !this.#bases.has(candidate.base);
    const fromHead = isOld ? this.#config.readFromHead : this.#config.newFilesFromHead || !isNewBase;
    const offset = fromHead || this.#readAll ? 0 : endOfLines(fd, candidate.size);
    return this.#add(fd, candidate, { offset }, candidate.inode);
  }

  /** A rotated file that is compressed: known already, history, or something that nobody has read yet. */
  #openPacked(candidate: Found, now: number): void {
    if (!this.#packed.canUnpack(candidate)) return this.#marks.skip(candidate, noHead);
    const fd = this.#open(candidate);
    if (fd === undefined) return undefined;
    const head = this.#packed.peek(fd, candidate);
    const copied = head === undefined ? undefined : this.#copiedFrom(candidate, head);
    // Being compressed, by the look of it: the file itself is there, too.
    if (head === undefined || copied === "still-read") return fs.closeSync(fd);
    if (copied?.done === true || (copied === undefined && this.#isOld(candidate.base))) {
      if (copied !== undefined) this.#marks.take(copied);
      this.#marks.skip(candidate, head);
      return fs.closeSync(fd);
    }
    if (copied === undefined && this.#isIgnored(candidate, now)) return fs.closeSync(fd);
    this.#packed.unpack(fd, candidate, copied);
    if (copied !== undefined) this.#marks.keep(copied);
    return undefined;
  }

  #addUnpacked({ fd, file, mark }: Unpacked): void {
    if (mark !== undefined) this.#marks.take(mark);
    this.#add(fd, file, mark ?? { offset: 0 }, mark?.identity ?? file.inode);
    this.#sort();
    const from = mark === undefined ? "from its beginning" : `from byte ${mark.offset}`;
    const what = `${file.path} was compressed before it was read: it is unpacked and read ${from}`;
    this.#context.onProblem("tail/unpacked", `Input "${this.#config.alias}": ${what}`);
  }

  /** Whether a base was there before this agent ever looked for it. */
  #isOld(base: string): boolean {
    if (!this.#isFirstLook || this.#readAll || this.#bases.has(base)) return false;
    return !this.#knownPaths.some((path) => isNamedBy(base, path));
  }

  #isIgnored(candidate: Candidate, now: number): boolean {
    const { ignoreOlderMs } = this.#config;
    return ignoreOlderMs !== undefined && now - candidate.mtimeMs > ignoreOlderMs;
  }

  /**
   * The mark of a file that this one is a copy of, as copytruncate and compression make them; `still-read` while the
   * original is there. Of a plain copy more than the beginning is compared: many files may begin alike.
   */
  #copiedFrom({ base, size }: Found, head: Buffer, fd?: number): FileMark | "still-read" | undefined {
    const whole = fd === undefined ? undefined : { fd, size };
    if (this.#files.some((file) => file.base === base && file.isLike(head, whole))) return "still-read";
    const found = this.#marks.beginningAs(base, head, whole?.size);
    return found !== undefined && this.#marks.isKept(found) ? "still-read" : found;
  }

  #add(fd: number, candidate: Found, reached: Reached, identity: number): void {
    const { path, base, order, device, inode, size } = candidate;
    const packed = candidate.isPacked ? { device, inode, packedSize: size } : {};
    const file = new TailFile(fd, { path, base, order, identity, ...packed }, reached);
    if (candidate.isRotated) this.#rotated(file, this.#lookedAt);
    this.#files.push(file);
  }

  #open(candidate: Candidate): number | undefined {
    try {
      if (this.#files.length >= filesMax) throw new Error(tooManyFiles);
      const fd = openReal(candidate.path, this.#context.mayRead);
      if (fs.fstatSync(fd).ino === candidate.inode) return fd;
      // Rotated between the two looks: the next one sees it under its new name.
      fs.closeSync(fd);
      this.#refreshedAt = Number.NEGATIVE_INFINITY;
    } catch (error) {
      if (codeOf(error) === "ENOENT") this.#refreshedAt = Number.NEGATIVE_INFINITY;
      else this.#fail(candidate.base, candidate.path, reasonOf(error));
    }
    return undefined;
  }

  #finish(file: TailFile): void {
    this.#marks.add(file.mark(true));
    this.#files = this.#files.filter((one) => one !== file);
    this.version++;
    file.close();
  }
}

const tooManyFiles =
  `${filesMax} files are open, which is as many as may be: ` +
  "it is read when others were read to their end and rotated away, or raise the limit of open files";

const noHead = Buffer.alloc(0);

/** Where the last whole line ends, looking back a little: reading begins with a line, not in the middle of one. */
function endOfLines(fd: number, size: number): number {
  const tail = Buffer.allocUnsafe(Math.min(size, 65_536));
  const read = tail.length === 0 ? 0 : fs.readSync(fd, tail, 0, tail.length, size - tail.length);
  const newline = tail.subarray(0, read).lastIndexOf(0x0a);
  return newline === -1 ? size : size - tail.length + newline + 1;
}
