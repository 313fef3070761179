/** Places are found in a few steps while no more than one in so many is taken. */
const spareness = 4;

/** Texts that are known beforehand, each with its place, found by their bytes without a string being made. */
export class Symbols {
  private readonly texts: readonly string[];
  private readonly byText: ReadonlyMap<string, number>;
  /** By hash: place + 1 of a text, or 0. */
  private readonly table: Int32Array;

  constructor(texts: readonly string[]) {
    this.texts = texts;
    this.byText = new Map(texts.map((text, place) => [text, place]));
    this.table = new Int32Array(2 ** Math.ceil(Math.log2(texts.length * spareness + 2)));
    for (const [place, text] of texts.entries()) {
      let hash = textHash(text) & (this.table.length - 1);
      while (this.table[hash] !== 0) hash = (hash + 1) & (this.table.length - 1);
      this.table[hash] = place + 1;
    }
  }

  /** The place of a text, or -1. */
  findText(text: string): number {
    return this.byText.get(text) ?? -1;
  }

  /** The place of the text that bytes spell, or -1. The bytes are ASCII. */
  find(bytes: Uint8Array, start: number, end: number): number {
    const { table } = this;
    let hash = bytesHash(bytes, start, end) & (table.length - 1);
    for (;;) {
      const place = (table[hash] ?? 0) - 1;
      if (place < 0) return -1;
      if (spells(this.texts[place] ?? "", bytes, start, end)) return place;
      hash = (hash + 1) & (table.length - 1);
    }
  }
}

function spells(text: string, bytes: Uint8Array, start: number, end: number): boolean {
  if (text.length !== end - start) return false;
  // Texts of one kind start alike and differ at the end.
  for (let i = text.length - 1; i >= 0; i--) if (bytes[start + i] !== text.charCodeAt(i)) return false;
  return true;
}

const mix = (length: number, first: number, middle: number, near: number, last: number): number =>
  length * 31 + first * 7 + middle * 131 + near * 53 + last * 17;

function textHash(text: string): number {
  const { length } = text;
  if (length === 0) return 0;
  const near = text.charCodeAt(Math.max(0, length - 5));
  return mix(length, text.charCodeAt(0), text.charCodeAt(length >> 1), near, text.charCodeAt(length - 1));
}

function bytesHash(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  if (length === 0) return 0;
  const near = bytes[Math.max(start, end - 5)] ?? 0;
  return mix(length, bytes[start] ?? 0, bytes[start + (length >> 1)] ?? 0, near, bytes[end - 1] ?? 0);
}
