import type { FileMark, Mark } from "./mark.ts";
import type { TailFile } from "./tail-file.ts";
import type { TailInput } from "./tail-input.ts";

type Key = Pick<TailFile, "device" | "inode">;

/**
 * How far the second reader of some files may read: as far as the first one is, so that they can meet. What the first has
 * done with may be read to its end, and what it does not know yet not at all.
 */
export class ReadLimit {
  readonly #first: TailInput;
  /** Files that the first had open; inodes, so that there are no more than there were files meanwhile. */
  readonly #known: Set<string>;

  /** `marks` is where both begin. */
  constructor(first: TailInput, marks: readonly Mark[]) {
    this.#first = first;
    this.#known = new Set(marks.filter((mark) => mark.kind === "file").map(keyOf));
  }

  of(file: Key): number {
    const key = keyOf(file);
    const reached = this.#first.reachedIn(file);
    if (reached !== undefined) {
      this.#known.add(key);
      return reached;
    }
    if (!this.#known.has(key) && this.#first.marks().some((mark) => isOf(mark, file))) this.#known.add(key);
    return this.#known.has(key) ? Number.POSITIVE_INFINITY : 0;
  }
}

function keyOf({ device, inode }: Key): string {
  return `${device}:${inode}`;
}

function isOf(mark: Mark, { device, inode }: Key): mark is FileMark {
  return mark.kind === "file" && mark.inode === inode && mark.device === device;
}
