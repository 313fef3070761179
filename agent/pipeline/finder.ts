/**
 * Finds the last place of some bytes. It goes backwards, because what is looked for stands near the end, and by whole
 * lengths where a byte is none of them, which is twenty steps where `lastIndexOf` compares hundreds of bytes.
 */
export class Finder {
  readonly #wanted: Buffer;
  /** How far to go back from a place that holds a byte. */
  readonly #steps: Uint8Array;

  /** `text` has at most 255 bytes. */
  constructor(text: string) {
    this.#wanted = Buffer.from(text);
    const { length } = this.#wanted;
    this.#steps = new Uint8Array(256).fill(length);
    for (let index = length - 1; index > 0; index--) this.#steps[this.#wanted[index] ?? 0] = index;
  }

  /** Where what follows it begins, or -1. */
  last(bytes: Buffer, start: number, end: number): number {
    const wanted = this.#wanted;
    const steps = this.#steps;
    const { length } = wanted;
    const first = wanted[0];
    for (let at = end - length; at >= start;) {
      const byte = bytes[at] ?? 0;
      if (byte === first) {
        let same = length - 1;
        while (same > 0 && bytes[at + same] === wanted[same]) same--;
        if (same === 0) return at + length;
      }
      at -= steps[byte] ?? 1;
    }
    return -1;
  }
}
