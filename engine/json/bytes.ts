import { decodeString } from "./tape.ts";
import { isCompactTape, jsonDepthMax, kinds, type JsonDocument, stride as tapeStride } from "./document.ts";
import { numberEnd, skipBlanks, stringEnd, wordEnd } from "./scan.ts";
import { StringCache } from "./strings.ts";
import type { Symbols } from "./symbols.ts";
import type { WordSearch } from "./word-search.ts";
import { valueText } from "./text.ts";
import type { ValueCache } from "./value-cache.ts";

// Constants of this module are folded into its loops, those of other modules are looked up each time.
const stride = tapeStride;
const depthMax = jsonDepthMax;
const { string: plainKind, escaped: escapedKind, number: numberKind, literal: literalKind } = kinds;
const { array: arrayKind, object: objectKind } = kinds;

const topSize = 64;
/** No two keys of an audit event share a hash. */
const topHash = (length: number, first: number, last: number): number =>
  (length * 2 + first * 63 + last) & (topSize - 1);

/** Whether a key is there takes a closer look. */
const unclear = -2;

const startLength = stride * 1024;
const keptMax = 1 << 20;
const nothing = new Uint8Array(0);

/**
 * JSON read where it lies, as UTF-8 bytes: one pass checks every byte and writes down kind, start, end and next sibling of
 * each value. Strings are made only of what is asked for, and a short one that was asked for lately is not even made again.
 *
 * It takes strict JSON only. Whatever else {@link JsonTape} lets pass (a raw control character, an unknown escape) or has
 * words for is left to it, so that odd texts are slow rather than different.
 *
 * One instance is reused from text to text.
 */
export class JsonBytes implements JsonDocument {
  bytes: Uint8Array;
  private tape: Int32Array;
  private readonly strings: StringCache;
  /** Values of the root by the hash of their key: 0 where there is none. */
  private readonly top: Int32Array;
  private isTopKnown: boolean;
  /** Whether a key that leads to no value is not there. */
  private isTopPlain: boolean;
  /** Whether any blanks stand between tokens. */
  private isSpaced: boolean;

  constructor() {
    this.bytes = nothing;
    this.tape = new Int32Array(startLength);
    this.strings = new StringCache();
    this.top = new Int32Array(topSize);
    this.isTopKnown = false;
    this.isTopPlain = false;
    this.isSpaced = false;
  }

  /**
   * Reads the text from `start` up to `end`, which must not change while nodes are in use. The root is node 0. False
   * when it is not strict JSON, or nests too deep.
   */
  scan(bytes: Uint8Array, start: number, end: number): boolean {
    this.bytes = bytes;
    this.isTopKnown = false;
    this.isSpaced = false;
    // One huge record must not hold its memory for all that follow.
    if (this.tape.length > keptMax) this.tape = new Int32Array(startLength);
    // The scan runs over the end of a text that is cut short; what it met there must not count.
    const after = this.values(bytes, start, end);
    return after >= 0 && after <= end && skipBlanks(bytes, after) >= end;
  }

  kind(node: number): number {
    return this.tape[node] ?? 0;
  }

  next(node: number): number {
    return this.tape[node + 3] ?? 0;
  }

  first(node: number): number {
    return node + stride;
  }

  member(node: number, key: string): number {
    if (node === 0) {
      const value = this.topMember(key);
      if (value !== unclear) return value;
    }
    const { tape } = this;
    if (tape[node] !== objectKind) return -1;
    const after = tape[node + 3] ?? 0;
    for (let name = node + stride; name < after; name = tape[name + stride + 3] ?? after) {
      if (this.is(name, key)) return name + stride;
    }
    return -1;
  }

  /** The place of the text of a value in a table, as `valueText` would give it, or -1. */
  symbol(node: number, symbols: Symbols): number {
    const kind = this.tape[node];
    if (kind === plainKind || kind === numberKind || kind === literalKind) {
      return symbols.find(this.bytes, this.start(node), this.end(node));
    }
    return symbols.findText(valueText(this, node));
  }

  cached(node: number, cache: ValueCache): number {
    return this.tape[node] === plainKind ? cache.find(this.bytes, this.start(node), this.end(node)) : -1;
  }

  cache(node: number, cache: ValueCache, number: number): void {
    if (this.tape[node] === plainKind) cache.keep(this.bytes, this.start(node), this.end(node), number);
  }

  startsWith(node: number, text: string): boolean {
    const { tape, bytes } = this;
    const start = tape[node + 1] ?? 0;
    const kind = tape[node];
    if (kind !== plainKind && kind !== numberKind && kind !== literalKind) {
      return valueText(this, node).startsWith(text);
    }
    if ((tape[node + 2] ?? 0) - start < text.length) return false;
    for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text.charCodeAt(i)) return false;
    return true;
  }

  element(node: number, index: number): number {
    if (this.kind(node) !== arrayKind) return -1;
    const after = this.next(node);
    let item = node + stride;
    for (let i = 0; i < index && item < after; i++) item = this.next(item);
    return item < after ? item : -1;
  }

  is(node: number, text: string): boolean {
    const { tape, bytes } = this;
    const kind = tape[node];
    if (kind === escapedKind) return this.string(node) === text;
    if (kind !== plainKind) return false;
    const start = tape[node + 1] ?? 0;
    const { length } = text;
    if ((tape[node + 2] ?? 0) - start !== length) return false;
    for (let i = 0; i < length; i++) if (bytes[start + i] !== text.charCodeAt(i)) return false;
    return true;
  }

  string(node: number): string {
    const raw = this.raw(node);
    return this.kind(node) === escapedKind && raw.includes("\\") ? decodeString(raw) : raw;
  }

  raw(node: number): string {
    const { tape } = this;
    return this.strings.text(this.bytes, tape[node + 1] ?? 0, tape[node + 2] ?? 0);
  }

  isCompact(node: number): boolean {
    return !this.isSpaced || isCompactTape(this.tape, node);
  }

  search(node: number, words: WordSearch, stamp: number): boolean {
    const kind = this.kind(node);
    const isGroup = kind === arrayKind || kind === objectKind;
    if (kind === escapedKind || (isGroup && !this.isCompact(node))) return false;
    words.search(this.bytes, this.start(node), this.end(node), stamp);
    return true;
  }

  /** Offset of a value's first byte; of a string, the one after the quote. */
  start(node: number): number {
    return this.tape[node + 1] ?? 0;
  }

  /** Offset after a value's last byte; of a string, that of the closing quote. */
  end(node: number): number {
    return this.tape[node + 2] ?? 0;
  }

  /** Reads one value and all it holds, and gives the offset after it, or -1. Blanks are rare, and looked for only at hand. */
  // One loop, because a call for each value would cost a third of the speed.
  // oxlint-disable-next-line eslint/max-lines-per-function
  private values(bytes: Uint8Array, start: number, end: number): number {
    let { tape } = this;
    let at = skipBlanks(bytes, start);
    let used = 0;
    let open = -1;
    let depth = 0;
    let closing = 0;
    for (;;) {
      if (at >= end) return -1;
      if (used + 2 * stride > tape.length) tape = this.grow(used / (at - start + 1), end - start);
      if (closing === 0x7d) {
        if (bytes[at] !== 0x22) return -1;
        const to = stringEnd(bytes, at + 1);
        if (to === 0) return -1;
        tape[used] = to < 0 ? escapedKind : plainKind;
        tape[used + 1] = at + 1;
        at = to < 0 ? -to : to;
        tape[used + 2] = at++;
        tape[used + 3] = used + stride;
        used += stride;
        if ((bytes[at] ?? 0) <= 0x20) at = this.pastBlanks(at);
        if (bytes[at++] !== 0x3a) return -1;
        if ((bytes[at] ?? 0) <= 0x20) at = this.pastBlanks(at);
      }
      const char = bytes[at] ?? 0;
      if (char === 0x22) {
        const to = stringEnd(bytes, at + 1);
        if (to === 0) return -1;
        tape[used] = to < 0 ? escapedKind : plainKind;
        tape[used + 1] = at + 1;
        at = to < 0 ? -to : to;
        tape[used + 2] = at++;
        tape[used + 3] = used + stride;
        used += stride;
      } else if (char === 0x7b || char === 0x5b) {
        // What stands inside is one level deeper; so deep a text is left to the tape, which looks at that too.
        if (++depth >= depthMax) return -1;
        closing = char + 2;
        tape[used] = char === 0x7b ? objectKind : arrayKind;
        tape[used + 1] = at++;
        // Until it is closed, a node holds the place of the one it lies in.
        tape[used + 3] = open;
        open = used;
        used += stride;
        if ((bytes[at] ?? 0) <= 0x20) at = this.pastBlanks(at);
        if (bytes[at] !== closing) continue;
      } else {
        const to = char > 0x39 ? wordEnd(bytes, at) : numberEnd(bytes, at);
        if (to < 0) return -1;
        tape[used] = char > 0x39 ? literalKind : numberKind;
        tape[used + 1] = at;
        at = to;
        tape[used + 2] = at;
        tape[used + 3] = used + stride;
        used += stride;
      }
      for (;;) {
        if (open < 0) return at;
        if ((bytes[at] ?? 0) <= 0x20) at = this.pastBlanks(at);
        const mark = bytes[at++];
        if (mark === 0x2c) {
          if ((bytes[at] ?? 0) <= 0x20) at = this.pastBlanks(at);
          break;
        }
        if (mark !== closing) return -1;
        const outer = tape[open + 3] ?? -1;
        tape[open + 2] = at;
        tape[open + 3] = used;
        open = outer;
        depth--;
        closing = open >= 0 && tape[open] === objectKind ? 0x7d : 0x5d;
      }
    }
  }

  /** The value of a key of the root, -1 or unclear. Looks at all keys once, and then at one. */
  private topMember(key: string): number {
    if (!this.isTopKnown) this.learnTop();
    const { length } = key;
    const hash = topHash(length, key.charCodeAt(0), key.charCodeAt(length - 1));
    const value = this.top[hash] ?? 0;
    if (value > 0) return this.is(value - stride, key) ? value : unclear;
    return this.isTopPlain ? -1 : unclear;
  }

  private learnTop(): void {
    const { tape, bytes, top } = this;
    this.isTopKnown = true;
    this.isTopPlain = false;
    top.fill(0);
    if (tape[0] !== objectKind) return;
    const after = tape[3] ?? 0;
    for (let name = stride; name < after; name = tape[name + stride + 3] ?? after) {
      const start = tape[name + 1] ?? 0;
      const end = tape[name + 2] ?? 0;
      const hash = topHash(end - start, bytes[start] ?? 0, bytes[end - 1] ?? 0);
      // The first of repeated keys counts. An escaped one may spell any key, and an empty one has no letters: then every key is looked for.
      if (tape[name] === escapedKind || end === start) return;
      if (top[hash] === 0) top[hash] = name + stride;
    }
    this.isTopPlain = true;
  }

  private pastBlanks(from: number): number {
    const at = skipBlanks(this.bytes, from);
    if (at > from) this.isSpaced = true;
    return at;
  }

  /** Makes room for a text of so many bytes that goes on as it began, and at least for twice as much as there is. */
  private grow(perByte: number, bytes: number): Int32Array {
    // Growing step by step would cost a large text more than the reading of it.
    const expected = Math.min(Math.ceil(perByte * bytes * 1.1), stride * (bytes + 2));
    const wider = new Int32Array(Math.max(this.tape.length * 2, expected));
    wider.set(this.tape);
    this.tape = wider;
    return wider;
  }
}
