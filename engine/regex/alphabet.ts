import { type CharSet, negated, pairsOf, pointMax } from "./char-set.ts";
import { tooLarge } from "./pattern.ts";

const asciiSize = 128;
const pageSize = 256;
/** Looks at runs of points that it may take to sort them; only thousands of sets that overlap take more. */
const sortedMax = 1 << 20;

/** Code points sorted into classes: those of one class are in the same sets of a pattern, so that none tells them apart. */
export class Alphabet {
  /** How many classes there are. */
  readonly size: number;
  /** The classes of the ASCII characters. */
  readonly ascii: Uint16Array;
  /** Where each run of points of one class begins, and which class it is. */
  private readonly starts: Int32Array;
  private readonly classes: Uint16Array;
  /** Classes of all points up to U+FFFF, page by page, once they are asked for. */
  private readonly pages: (Uint16Array | undefined)[];
  private readonly points: number[];

  constructor(sets: readonly CharSet[]) {
    const cuts = new Set([0]);
    // The first point of a pair, and the one after its last.
    for (const set of sets) set.forEach((point, i) => cuts.add(point + (i & 1)));
    cuts.delete(pointMax + 1);
    this.starts = Int32Array.from(cuts).sort();
    this.classes = new Uint16Array(this.starts.length);
    this.points = [];
    this.sort(sets);
    this.size = this.points.length;
    this.ascii = new Uint16Array(asciiSize);
    for (let point = 0; point < asciiSize; point++) this.ascii[point] = this.search(point);
    this.pages = [];
  }

  classOf(point: number): number {
    if (point < asciiSize) return this.ascii[point] ?? 0;
    if (point > 0xffff) return this.search(point);
    const number = point >>> 8;
    const page = (this.pages[number] ??= Uint16Array.from({ length: pageSize }, (_, i) =>
      this.search(number * pageSize + i),
    ));
    return page[point & (pageSize - 1)] ?? 0;
  }

  /** One point of a class. */
  pointOf(number: number): number {
    return this.points[number] ?? 0;
  }

  /** Parts the runs by each set in turn, then numbers what is left as classes. */
  private sort(sets: readonly CharSet[]): void {
    const parts = new Int32Array(this.starts.length);
    // Of each part: the set that was the last to take runs out of it, and the part these are since.
    const takers = [-1];
    const apart = [0];
    let sorted = 0;
    for (const [taker, set] of sets.entries()) {
      for (const [from, to] of this.runs(set)) {
        sorted += to - from;
        if (sorted > sortedMax) throw tooLarge();
        for (let run = from; run < to; run++) {
          const part = parts[run] ?? 0;
          if (takers[part] !== taker) {
            takers[part] = taker;
            apart[part] = takers.push(-1) - 1;
          }
          parts[run] = apart[part] ?? 0;
        }
      }
    }
    const numbers = new Map<number, number>();
    for (const [run, part] of parts.entries()) {
      const number = numbers.get(part) ?? numbers.size;
      if (number === numbers.size) this.points.push(this.starts[run] ?? 0);
      numbers.set(part, number);
      this.classes[run] = number;
    }
  }

  /** Where the runs of a set begin and end, or those of all others, whichever are fewer: they part the same. */
  private runs(set: CharSet): readonly (readonly [number, number])[] {
    const inside = this.runsIn(set);
    const count = inside.reduce((sum, [from, to]) => sum + to - from, 0);
    return count * 2 <= this.starts.length ? inside : this.runsIn(negated(set));
  }

  private runsIn(set: CharSet): readonly (readonly [number, number])[] {
    return pairsOf(set).map(([from, to]) => [
      this.run(from),
      to === pointMax ? this.starts.length : this.run(to + 1),
    ]);
  }

  private search(point: number): number {
    return this.classes[this.run(point)] ?? 0;
  }

  /** The run in which a point lies. */
  private run(point: number): number {
    let low = 0;
    let high = this.starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.starts[middle] ?? 0) <= point) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
