import { isBelowAny } from "#shipper";
import type { Candidate, Listing } from "./candidates.ts";
import type { InputContext } from "./input.ts";
import { beginsAs, fingerprintOf } from "./mark.ts";
import type { FileMark } from "./mark.ts";
import { isPacked } from "./rotated-names.ts";

const marksMax = 10_000;

/** Positions in files that are not open: read to their end, or not seen since the last start. */
export class FileMarks {
  #marks: FileMark[];
  readonly #context: InputContext;
  /** Marks whose files were found in the look that is under way. */
  readonly #kept = new Set<FileMark>();
  /** The former content of a file that was just found truncated, while a copy of it is looked for. */
  #cut: FileMark | undefined;

  constructor(marks: readonly FileMark[], context: InputContext) {
    this.#marks = [...marks];
    this.#context = context;
  }

  get all(): readonly FileMark[] {
    return this.#marks;
  }

  beginLook(): void {
    this.#kept.clear();
  }

  /** Drops marks of files that are gone; one that was not read to its end is a loss to be told. */
  endLook(listing: Listing): void {
    const unreadable = [...listing.unreadable.keys()];
    this.#marks = this.#marks.filter((mark) => {
      const isOutOfSight = isBelowAny(mark.path, unreadable) || isBelowAny(mark.base, unreadable);
      if (this.#kept.has(mark) || mark === this.#cut || isOutOfSight) return true;
      if (!mark.done) this.#lost(mark, packedNear(mark, listing));
      return false;
    });
    const surplus = this.#marks.length - marksMax;
    if (surplus <= 0) return;
    const oldest = new Set(this.#marks.filter((mark) => mark.done).slice(0, surplus));
    this.#marks = this.#marks.filter((mark) => !oldest.has(mark));
  }

  of(candidate: Candidate): FileMark | undefined {
    return this.#marks.find(
      (mark) => mark.inode === candidate.inode && isPacked(mark.path) === candidate.isPacked,
    );
  }

  /** A copy holds at least as much as was read of the original. */
  beginningAs(base: string, head: Buffer, size: number = Number.POSITIVE_INFINITY): FileMark | undefined {
    const isAlike = (mark: FileMark) =>
      mark.base === base && mark.fingerprint.length > 0 && (size >= mark.offset || mark.done);
    return this.#marks.find((mark) => isAlike(mark) && beginsAs(head, mark));
  }

  /** The file is there: its mark stays. */
  keep(mark: FileMark): void {
    this.#kept.add(mark);
  }

  isKept(mark: FileMark): boolean {
    return this.#kept.has(mark);
  }

  add(mark: FileMark): void {
    this.#marks.push(mark);
    this.#kept.add(mark);
  }

  /** The file is open again, so that it has its own position. */
  take(mark: FileMark): void {
    this.#marks = this.#marks.filter((one) => one !== mark);
  }

  /** The inode holds something else now. What was not read to its end may still lie in a copy. */
  orphan(mark: FileMark): void {
    this.take(mark);
    if (!mark.done) this.#marks.push({ ...mark, inode: -1 });
  }

  /** A file that is not to be read: history, or read before under another name. */
  skip({ path, base, device, inode, size }: Candidate, head: Buffer): void {
    const place = { path, base, device, inode, identity: inode };
    this.add({
      kind: "file",
      ...place,
      offset: size,
      ahead: [],
      fingerprint: fingerprintOf(head),
      done: true,
    });
  }

  /** A compressed file that cannot be unpacked will not be tried again. */
  damaged(file: Candidate, mark: FileMark | undefined, why: string): void {
    this.skip(file, Buffer.alloc(0));
    if (mark !== undefined) this.take(mark);
    this.#context.counters.lost++;
    const from = mark === undefined ? "" : ` after byte ${mark.offset}`;
    const what = `${file.path} was compressed before it was read${from}, and cannot be unpacked`;
    this.#context.onProblem("tail/gone", `${what}: ${why}`);
  }

  /** Looks for a copy of what a file held before it was truncated. */
  cut(before: FileMark): void {
    this.#marks.push(before);
    this.#cut = before;
  }

  /** Whether no copy was found. */
  endCut(before: FileMark): boolean {
    this.#cut = undefined;
    const isLeft = this.#marks.includes(before);
    this.take(before);
    return isLeft;
  }

  #lost(mark: FileMark, packed: string): void {
    this.#context.counters.lost++;
    const what = `${mark.path} was removed or overwritten while nobody read it, after byte ${mark.offset}`;
    this.#context.onProblem(
      "tail/gone",
      `${what}: what was written to it afterwards cannot be read${packed}`,
    );
  }
}

/** Names compressed files that may hold what is lost, for people who can unpack them. */
function packedNear(mark: FileMark, listing: Listing): string {
  const near = listing.candidates.filter((one) => one.isPacked && one.base === mark.base).slice(-3);
  return near.length === 0 ? "" : `; it may be in ${near.map(({ path }) => path).join(", ")}`;
}
