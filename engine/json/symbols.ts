import { isAscii } from "../glob.ts";

/** Places are found in a few steps while no more than one in so many is taken. */
const spareness = 4;
/** More texts than this are told apart by all of their bytes: a long list of names differs in few places, of which some are looked at. */
const fewMax = 64;

/** Texts that are known beforehand, each with its place, found by their bytes without a string being made. */
export class Symbols {
  private readonly byText: ReadonlyMap<string, number>;
  /** By hash: place + 1 of a text, or 0. */
  private readonly table: Int32Array;
  /** The texts one after the other, and where each of them starts; strings would be compared more slowly. */
  private readonly letters: Uint8Array;
  private readonly starts: Int32Array;
  private readonly longest: number;
  private readonly hashOf: (bytes: Uint8Array, start: number, end: number) => number;

  constructor(texts: readonly string[]) {
    this.byText = new Map(texts.map((text, place) => [text, place]));
    this.table = new Int32Array(2 ** Math.ceil(Math.log2(texts.length * spareness + 2)));
    this.letters = new Uint8Array(texts.reduce((sum, { length }) => sum + length, 0));
    this.starts = new Int32Array(texts.length + 1);
    this.longest = texts.reduce((max, { length }) => Math.max(max, length), 0);
    this.hashOf = texts.length > fewMax ? wholeHash : bytesHash;
    for (const [place, text] of texts.entries()) this.put(place, text);
  }

  private put(place: number, text: string): void {
    const { table, letters, starts } = this;
    const start = starts[place] ?? 0;
    const end = start + text.length;
    starts[place + 1] = end;
    for (let i = 0; i < text.length; i++) letters[start + i] = text.charCodeAt(i);
    // Bytes that are ASCII never spell such a text, and cut down to bytes it would look like another one.
    if (!isAscii(text)) return;
    let hash = this.hashOf(letters, start, end) & (table.length - 1);
    while (table[hash] !== 0) hash = (hash + 1) & (table.length - 1);
    table[hash] = place + 1;
  }

  /** The place of a text, or -1. */
  findText(text: string): number {
    return this.byText.get(text) ?? -1;
  }

  /** The place of the text that bytes spell, or -1. The bytes are ASCII. */
  find(bytes: Uint8Array, start: number, end: number): number {
    const { table, longest } = this;
    if (end - start > longest) return -1;
    let hash = this.hashOf(bytes, start, end) & (table.length - 1);
    for (;;) {
      const place = (table[hash] ?? 0) - 1;
      if (place < 0) return -1;
      if (this.spells(place, bytes, start, end)) return place;
      hash = (hash + 1) & (table.length - 1);
    }
  }

  private spells(place: number, bytes: Uint8Array, start: number, end: number): boolean {
    const { letters, starts } = this;
    const from = starts[place] ?? 0;
    if ((starts[place + 1] ?? 0) - from !== end - start) return false;
    // Texts of one kind start alike and differ at the end.
    for (let i = end - start - 1; i >= 0; i--) if (bytes[start + i] !== letters[from + i]) return false;
    return true;
  }
}

function bytesHash(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  if (length === 0) return 0;
  const near = bytes[Math.max(start, end - 5)] ?? 0;
  const middle = bytes[start + (length >> 1)] ?? 0;
  return length * 31 + (bytes[start] ?? 0) * 7 + middle * 131 + near * 53 + (bytes[end - 1] ?? 0) * 17;
}

/** FNV-1a; what is high in it is mixed into what is low, which is all that a small table looks at. */
function wholeHash(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ (bytes[i] ?? 0), 0x01000193);
  return hash ^ (hash >>> 15);
}
