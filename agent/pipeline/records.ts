import type { StoredEntry } from "./segment.ts";

/** Records by their number, in order: runs of neighbours, each from a number up to another one. */
export type Part = readonly (readonly [from: number, to: number])[];

export function countOf(part: Part): number {
  return part.reduce((sum, [from, to]) => sum + to - from, 0);
}

/** The first `count` records of a part, and the others. */
export function cut(part: Part, count: number): readonly [Part, Part] {
  const head: (readonly [number, number])[] = [];
  const tail: (readonly [number, number])[] = [];
  let left = count;
  for (const [from, to] of part) {
    const middle = from + Math.min(left, to - from);
    left -= middle - from;
    if (middle > from) head.push([from, middle]);
    if (middle < to) tail.push([middle, to]);
  }
  return [head, tail];
}

/** Those records of a part that fit, asked by their place in the part. */
export function pick(part: Part, isMeant: (nth: number) => boolean): Part {
  const found: [number, number][] = [];
  let nth = 0;
  for (const [from, to] of part) {
    for (let record = from; record < to; record++) {
      if (!isMeant(nth++)) continue;
      const last = found.at(-1);
      if (last !== undefined && last[1] === record) last[1] = record + 1;
      else found.push([record, record + 1]);
    }
  }
  return found;
}

/** A part without some records, given by their numbers. */
export function minus(part: Part, without: ReadonlySet<number>): Part {
  const numbers = part.flatMap(([from, to]) => Array.from({ length: to - from }, (_, index) => from + index));
  return pick(part, (nth) => !without.has(numbers[nth] ?? -1));
}

/** The lines of entries, each by where it lies in one buffer: nothing is copied and nothing allocated per record. */
export class Records {
  readonly entries: readonly StoredEntry[];
  readonly count: number;
  /** The lines lie in it, and more. */
  readonly bytes: Buffer;
  /** Of record n without its newline. */
  readonly starts: Uint32Array;
  readonly ends: Uint32Array;
  /** The number of the first record of each entry. */
  readonly firsts: readonly number[];

  constructor(entries: readonly StoredEntry[]) {
    this.entries = entries;
    const counted = entries.reduce((sum, { count }) => sum + count, 0);
    this.starts = new Uint32Array(counted);
    this.ends = new Uint32Array(counted);
    this.bytes = wholeOf(entries);
    const firsts: number[] = [];
    let record = 0;
    let at = 0;
    for (const { body } of entries) {
      firsts.push(record);
      const isShared = this.bytes.buffer === body.buffer;
      const begin = isShared ? body.byteOffset - this.bytes.byteOffset : at;
      record = this.#lines(begin, begin + body.length, record);
      at += body.length;
    }
    this.firsts = firsts;
    this.count = record;
  }

  get whole(): Part {
    return this.count === 0 ? [] : [[0, this.count]];
  }

  /** Bytes of a part, newlines included. */
  bytesOf(part: Part): number {
    let sum = 0;
    for (const [from, to] of part) {
      for (let record = from; record < to; record++) sum += this.size(record) + 1;
    }
    return sum;
  }

  size(record: number): number {
    return (this.ends[record] ?? 0) - (this.starts[record] ?? 0);
  }

  line(record: number): Buffer {
    return this.bytes.subarray(this.starts[record], this.ends[record]);
  }

  /** The number of the entry that holds a record. */
  entryOf(record: number): number {
    let entry = this.firsts.length - 1;
    while (entry > 0 && (this.firsts[entry] ?? 0) > record) entry--;
    return entry;
  }

  tagOf(record: number): string {
    return this.entries[this.entryOf(record)]?.tag ?? "";
  }

  #lines(begin: number, end: number, first: number): number {
    let record = first;
    for (let at = begin; at < end && record < this.starts.length; record++) {
      const newline = this.bytes.indexOf(0x0a, at);
      const stop = newline === -1 || newline > end ? end : newline;
      this.starts[record] = at;
      this.ends[record] = stop;
      at = stop + 1;
    }
    return record;
  }
}

/** One buffer in which all bodies lie: the one that the queue read them into, or a copy. */
function wholeOf(entries: readonly StoredEntry[]): Buffer {
  const [first] = entries;
  if (first === undefined) return Buffer.alloc(0);
  const shared = first.body.buffer;
  if (entries.every(({ body }) => body.buffer === shared)) return Buffer.from(shared);
  return Buffer.concat(entries.map(({ body }) => body));
}
