const places = 1024;
const lengthMax = 128;

/**
 * Numbers of values that came by lately, found by their bytes without a string being made. A place holds one value, so that
 * values which somebody makes up by the thousand, or so that they meet in one place, push each other out and cost nothing more.
 */
export class ValueCache {
  private letters: Uint8Array;
  /** By place: the length of the value, or -1; and its number. */
  private readonly lengths: Int32Array;
  private readonly numbers: Int32Array;

  constructor() {
    this.letters = new Uint8Array(0);
    this.lengths = new Int32Array(places).fill(-1);
    this.numbers = new Int32Array(places);
  }

  /** The number that was kept for the bytes, or -1. */
  find(bytes: Uint8Array, start: number, end: number): number {
    const place = placeOf(bytes, start, end);
    const { letters } = this;
    if (this.lengths[place] !== end - start) return -1;
    const from = place * lengthMax - start;
    for (let at = end - 1; at >= start; at--) if (letters[from + at] !== bytes[at]) return -1;
    return this.numbers[place] ?? -1;
  }

  /** Keeps a number for the bytes, unless they are too many. */
  keep(bytes: Uint8Array, start: number, end: number, number: number): void {
    if (end - start > lengthMax) return;
    if (this.letters.length === 0) this.letters = new Uint8Array(places * lengthMax);
    const place = placeOf(bytes, start, end);
    this.letters.set(bytes.subarray(start, end), place * lengthMax);
    this.lengths[place] = end - start;
    this.numbers[place] = number;
  }
}

/** Some bytes from all over the value, its last among them: that is where names of a kind differ. */
function placeOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = end - start;
  const step = 1 + (hash >> 3);
  for (let at = end - 1; at >= start; at -= step) hash = Math.imul(hash ^ (bytes[at] ?? 0), 0x01000193);
  return (hash ^ (hash >>> 15)) & (places - 1);
}
