import type { SourcePosition } from "./alert.ts";

/** Records of one source, one after the other. */
interface Run {
  readonly origin: string;
  readonly inode: number;
  /** The first record of the run, by its number among all. */
  readonly from: number;
}

/** Where the records of a batch stood in their sources, in the order of the records. */
export interface Positions {
  readonly runs: readonly Run[];
  readonly offsets: ArrayLike<number>;
}

const runHeadBytes = 2 + 8 + 4;
const originBytesMax = 1024;
/** A difference of offsets takes at most eight bytes, seven bits in each. */
const stepBytesMax = 8;

/** Notes positions record by record: two numbers and a comparison each. */
export class PositionNotes implements Positions {
  readonly runs: Run[] = [];
  readonly offsets: number[] = [];
  #origin = "";
  #inode = -1;
  #last = 0;

  add({ origin, inode, offset }: SourcePosition): void {
    if (origin !== this.#origin || inode !== this.#inode || offset < this.#last) {
      this.#origin = origin;
      this.#inode = inode;
      this.#last = 0;
      this.runs.push({ origin, inode, from: this.offsets.length });
    }
    this.#last = offset;
    this.offsets.push(offset);
  }
}

/** Positions as bytes: for each run its origin, inode and size, then the steps from one offset to the next. */
export function encodePositions({ runs, offsets }: Positions): Buffer {
  const sizeMax = runs.length * (runHeadBytes + originBytesMax) + offsets.length * stepBytesMax;
  const bytes = Buffer.allocUnsafe(sizeMax);
  let at = 0;
  for (const [index, run] of runs.entries()) {
    const to = runs[index + 1]?.from ?? offsets.length;
    const length = bytes.write(run.origin, at + runHeadBytes, originBytesMax);
    bytes.writeUInt16BE(length, at);
    bytes.writeDoubleBE(run.inode, at + 2);
    bytes.writeUInt32BE(to - run.from, at + 10);
    at += runHeadBytes + length;
    let last = 0;
    for (let record = run.from; record < to; record++) {
      const offset = offsets[record] ?? 0;
      let step = offset - last;
      last = offset;
      for (; step >= 0x80; step = Math.floor(step / 0x80)) bytes[at++] = (step % 0x80) | 0x80;
      bytes[at++] = step;
    }
  }
  return bytes.subarray(0, at);
}

/** What `encodePositions` made; undefined when it is not about so many records. */
export function decodePositions(bytes: Buffer, count: number): Positions | undefined {
  const runs: Run[] = [];
  const offsets = new Float64Array(count);
  let at = 0;
  let record = 0;
  while (at + runHeadBytes <= bytes.length && record < count) {
    const length = bytes.readUInt16BE(at);
    const to = record + bytes.readUInt32BE(at + 10);
    const origin = bytes.toString("utf8", at + runHeadBytes, at + runHeadBytes + length);
    runs.push({ origin, inode: bytes.readDoubleBE(at + 2), from: record });
    at += runHeadBytes + length;
    for (let last = 0; record < to && record < count; record++) {
      let scale = 1;
      for (; (bytes[at] ?? 0) >= 0x80; scale *= 0x80) last += ((bytes[at++] ?? 0) - 0x80) * scale;
      last += (bytes[at++] ?? 0) * scale;
      offsets[record] = last;
    }
  }
  return record === count && at === bytes.length ? { runs, offsets } : undefined;
}
