import { asciiLower, isAscii } from "../glob.ts";

/** Words of more bytes than this together would make tables that no cache holds. */
const bytesMax = 4096;

/**
 * Looks for many words at once in bytes, in a time that depends on neither the words nor what the bytes hold: an automaton
 * after Aho and Corasick, each byte one step in a table. While it is at no word, it jumps after Wu and Manber: two bytes that
 * stand nowhere in the words, or far ahead in them, rule out that a word begins shortly before. Words are ASCII, so that a word
 * is in the bytes of a UTF-8 text exactly when it is in the text.
 */
export class WordSearch {
  private readonly isFolded: boolean;
  private readonly words: string[];
  private readonly places: Map<string, number>;
  private bytes: number;
  /** For each word, the stamp of the search that found it last. */
  private readonly found: number[];
  private tables: Tables | undefined;

  /** `isFolded`: letters from A to Z count as small ones, in words and bytes. */
  constructor(isFolded: boolean) {
    this.isFolded = isFolded;
    this.words = [];
    this.places = new Map();
    this.bytes = 0;
    this.found = [];
    this.tables = undefined;
  }

  /** The place of a word in this search; undefined for one that it can not look for. */
  add(given: string): number | undefined {
    const word = this.isFolded ? asciiLower(given) : given;
    const known = this.places.get(word);
    if (known !== undefined) return known;
    if (word === "" || !isAscii(word) || this.bytes + word.length > bytesMax) return undefined;
    const place = this.words.push(word) - 1;
    this.places.set(word, place);
    this.bytes += word.length;
    this.found.push(-1);
    this.tables = undefined;
    return place;
  }

  /** Whether the search under a stamp found the word at a place. */
  holds(place: number, stamp: number): boolean {
    return this.found[place] === stamp;
  }

  /** Looks for all words from `start` up to `end`. No two searches have one stamp. */
  search(bytes: Uint8Array, start: number, end: number, stamp: number): void {
    this.tables ??= tablesOf(this.words, this.isFolded);
    const { reach, classes, width, jumps, steps, ends, words, seen } = this.tables;
    let at = start;
    while (at < end) {
      let last = at + reach - 1;
      for (let jump = reach; jump > 0 && last < end; last += jump) {
        jump = jumps[(classes[bytes[last - 1] ?? 0] ?? 0) * width + (classes[bytes[last] ?? 0] ?? 0)] ?? 0;
      }
      if (last >= end) return;
      at = last - reach + 1;
      let state = 0;
      do {
        state = steps[state + (classes[bytes[at++] ?? 0] ?? 0)] ?? 0;
        if (state >= 0) continue;
        const ended = ~state;
        state = ends[ended] ?? 0;
        // The words of one end are noted once, or many short ones in a long text would take their own time.
        if (seen[ended] === stamp) continue;
        seen[ended] = stamp;
        for (const place of words[ended] ?? []) this.found[place] = stamp;
      } while (state !== 0 && at < end);
    }
  }
}

interface Tables {
  /** The length of the shortest word: what begins at a byte has not ended before that many. */
  readonly reach: number;
  /** For each byte what it is to the words: 0 if none holds it. There are so many classes. */
  readonly classes: Uint8Array;
  readonly width: number;
  /** By the classes of two bytes: how far ahead the last byte of the next beginning of a word is at least. */
  readonly jumps: Uint8Array;
  /** The next state, by state and class, as its place in this table; where words end, the complement of a number in the tables below. */
  readonly steps: Int32Array;
  /** The state itself, the words that end in it, and the stamp of the search that was in it last. */
  readonly ends: Int32Array;
  readonly words: readonly (readonly number[])[];
  readonly seen: Int32Array;
}

function tablesOf(words: readonly string[], isFolded: boolean): Tables {
  const classes = classesOf(words, isFolded);
  const width = Math.max(...classes) + 1;
  const reach = Math.min(...words.map(({ length }) => length));
  const states = 1 + words.reduce((sum, { length }) => sum + length, 0);
  const steps = new Int32Array(states * width);
  const byState = new Map<number, readonly number[]>();
  let used = width;
  for (const [place, word] of words.entries()) {
    let state = 0;
    for (let i = 0; i < word.length; i++) {
      const step = state + (classes[word.charCodeAt(i)] ?? 0);
      if (steps[step] === 0) {
        steps[step] = used;
        used += width;
      }
      state = steps[step] ?? 0;
    }
    byState.set(state, [place]);
  }
  link(steps, width, byState);
  const ends = new Int32Array(byState.keys());
  const numbers = new Map([...ends].map((state, number) => [state, number]));
  for (const [step, state] of steps.entries()) {
    const number = numbers.get(state);
    if (number !== undefined) steps[step] = ~number;
  }
  return {
    reach,
    classes,
    width,
    jumps: jumpsOf(words, reach, classes, width),
    steps,
    ends,
    words: [...byState.values()],
    seen: new Int32Array(ends.length).fill(-1),
  };
}

function jumpsOf(words: readonly string[], reach: number, classes: Uint8Array, width: number): Uint8Array {
  const jumps = new Uint8Array(width * width).fill(reach - 1);
  for (const word of words) {
    for (let i = 1; i < reach; i++) {
      const pair = (classes[word.charCodeAt(i - 1)] ?? 0) * width + (classes[word.charCodeAt(i)] ?? 0);
      jumps[pair] = Math.min(jumps[pair] ?? 0, reach - 1 - i);
    }
  }
  return jumps;
}

function classesOf(words: readonly string[], isFolded: boolean): Uint8Array {
  const classes = new Uint8Array(256);
  let used = 0;
  for (const word of words) {
    for (let i = 0; i < word.length; i++) {
      const byte = word.charCodeAt(i);
      if (classes[byte] === 0) classes[byte] = ++used;
    }
  }
  if (isFolded) for (let byte = 0x41; byte <= 0x5a; byte++) classes[byte] = classes[byte + 0x20] ?? 0;
  return classes;
}

/**
 * Fills the steps that leave the words' own ways: where the longest end of what was read goes on that is the beginning of a
 * word, too. Ways are taken by length, so that those of that end are filled already.
 */
function link(steps: Int32Array, width: number, ends: Map<number, readonly number[]>): void {
  const fallback = new Map<number, number>();
  const waiting: number[] = [0];
  for (const state of waiting) {
    const back = fallback.get(state) ?? 0;
    for (let one = 0; one < width; one++) {
      const next = steps[state + one] ?? 0;
      const short = state === 0 ? 0 : (steps[back + one] ?? 0);
      if (next === 0) {
        steps[state + one] = short;
        continue;
      }
      fallback.set(next, short);
      const inner = ends.get(short);
      if (inner !== undefined) ends.set(next, [...(ends.get(next) ?? []), ...inner]);
      waiting.push(next);
    }
  }
}
