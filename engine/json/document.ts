import type { Symbols } from "./symbols.ts";
import type { ValueCache } from "./value-cache.ts";
import type { WordSearch } from "./word-search.ts";

/** What stands at a node. An escaped string must be decoded: what it spells is not what is written. */
export const kinds = { string: 1, escaped: 2, number: 3, literal: 4, array: 5, object: 6 } as const;

/** JSON may nest this deep, its innermost value counted; a deeper text is refused. */
export const jsonDepthMax = 300;

/**
 * A checked JSON text whose values are nodes: places in the text, without a copy of any of them. Numbers keep their
 * spelling, and of a repeated key the first one counts. Nodes are valid until the next text is read.
 */
export interface JsonDocument {
  /** One of {@link kinds}. */
  kind(node: number): number;
  /** The node after this one and all it holds. */
  next(node: number): number;
  /** The first node inside an array or object (a key, then its value). */
  first(node: number): number;
  /** The value of a key, or -1. */
  member(node: number, key: string): number;
  /** The element of an array at an index, or -1. */
  element(node: number, index: number): number;
  /** Whether a string node spells exactly `text`. */
  is(node: number, text: string): boolean;
  /** The text of a string node, decoded. */
  string(node: number): string;
  /** A value as it is written; of a string, what stands between the quotes. */
  raw(node: number): string;
  /** The place of the text of a value in a table, as `valueText` would give it, or -1. */
  symbol(node: number, symbols: Symbols): number;
  /** The number that a cache holds for the text of a value, or -1; always -1 for a text that does not stand there as it is. */
  cached(node: number, cache: ValueCache): number;
  /** Keeps a number for the text of a value, so that `cached` finds it where it can. */
  cache(node: number, cache: ValueCache, number: number): void;
  /** Whether the text of a value, as `valueText` would give it, starts with another. */
  startsWith(node: number, text: string): boolean;
  /**
   * Looks for words in the text of a value, as `valueText` would give it, under a stamp of the searches; false, and nothing is looked
   * for, when the text would have to be made for that.
   */
  search(node: number, words: WordSearch, stamp: number): boolean;
  /** Whether there are no blanks between the tokens of a value. */
  isCompact(node: number): boolean;
}

/** Numbers that a node takes on a tape: kind, start, end, and the node after it and all it holds. */
export const stride = 4;

/**
 * Whether what a node spans is no longer than its tokens: each value with its quotes or brackets, and one comma or colon
 * before each but the first in an array or object.
 */
export function isCompactTape(tape: Int32Array, node: number): boolean {
  const after = tape[node + 3] ?? 0;
  let length = 0;
  for (let one = node; one < after; one += stride) {
    const kind = tape[one] ?? 0;
    const isText = kind === kinds.string || kind === kinds.escaped;
    if (kind === kinds.array || kind === kinds.object) length += (tape[one + 3] ?? 0) > one + stride ? 1 : 2;
    else length += (tape[one + 2] ?? 0) - (tape[one + 1] ?? 0) + (isText ? 2 : 0);
    length++;
  }
  // The first of all has no mark before it, and a string is written down without its quotes.
  const isText = tape[node] === kinds.string || tape[node] === kinds.escaped;
  return length - 1 === (tape[node + 2] ?? 0) - (tape[node + 1] ?? 0) + (isText ? 2 : 0);
}
