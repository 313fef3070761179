import { isCompactTape, jsonDepthMax, kinds, type JsonDocument, stride } from "./document.ts";
import type { Symbols } from "./symbols.ts";
import { valueText } from "./text.ts";

export { jsonDepthMax, kinds } from "./document.ts";

const startLength = stride * 512;
const keptMax = 1 << 20;

/** A text that is no JSON, and where it stops being it. */
export class JsonProblem extends Error {
  readonly at: number;
  constructor(message: string, at: number) {
    super(`${message} at character ${at + 1}`);
    this.at = at;
  }
}

/**
 * A JSON text with the places of its values, and no copy of any of them: one pass checks the text and writes
 * down kind, start, end and next sibling of each value. Fields are then read straight out of the text, so a
 * record costs one scan and whatever the rules really look at. Numbers keep their spelling, and of a repeated
 * key the first one counts.
 *
 * One instance is reused from record to record: nodes are valid until the next `parse`.
 */
export class JsonTape implements JsonDocument {
  text: string;
  private tape: Int32Array;
  private used: number;
  private at: number;
  /** Where the next backslash is, so that strings before it are known to be plain. */
  private backslash: number;
  private hasNul: boolean;

  constructor() {
    this.text = "";
    this.tape = new Int32Array(startLength);
    this.used = 0;
    this.at = 0;
    this.backslash = -1;
    this.hasNul = false;
  }

  /** Reads a text and gives its root node. Throws {@link JsonProblem} when it is no JSON. */
  parse(text: string): number {
    // One huge record must not hold its memory for all that follow.
    if (this.tape.length > keptMax) this.tape = new Int32Array(startLength);
    this.text = text;
    this.used = 0;
    this.at = 0;
    this.backslash = text.indexOf("\\");
    this.hasNul = text.includes("\0");
    this.skipBlanks();
    const root = this.value(0);
    this.skipBlanks();
    if (this.at < text.length) this.fail("unexpected text after the value");
    return root;
  }

  kind(node: number): number {
    return this.tape[node] ?? 0;
  }

  /** Offset of a value's first character; of a string, the one after the quote. */
  start(node: number): number {
    return this.tape[node + 1] ?? 0;
  }

  /** Offset after a value's last character; of a string, that of the closing quote. */
  end(node: number): number {
    return this.tape[node + 2] ?? 0;
  }

  /** The node after this one and all it holds. */
  next(node: number): number {
    return this.tape[node + 3] ?? 0;
  }

  /** The first node inside an array or object (a key, then its value). */
  first(node: number): number {
    return node + stride;
  }

  /** The value of a key, or -1. */
  member(node: number, key: string): number {
    if (this.kind(node) !== kinds.object) return -1;
    const after = this.next(node);
    for (let name = node + stride; name < after; name = this.next(name + stride)) {
      if (this.is(name, key)) return name + stride;
    }
    return -1;
  }

  /** The element of an array at an index, or -1. */
  element(node: number, index: number): number {
    if (this.kind(node) !== kinds.array) return -1;
    const after = this.next(node);
    let item = node + stride;
    for (let i = 0; i < index && item < after; i++) item = this.next(item);
    return item < after ? item : -1;
  }

  /** Whether a string node spells exactly `text`. */
  is(node: number, text: string): boolean {
    const kind = this.kind(node);
    const start = this.start(node);
    if (kind === kinds.string) {
      return this.end(node) - start === text.length && this.text.startsWith(text, start);
    }
    return kind === kinds.escaped && decodeString(this.text.slice(start, this.end(node))) === text;
  }

  /** The text of a string node, decoded. */
  string(node: number): string {
    const raw = this.raw(node);
    return this.kind(node) === kinds.escaped ? decodeString(raw) : raw;
  }

  /** A value as it is written; of a string, what stands between the quotes. */
  raw(node: number): string {
    return this.text.slice(this.start(node), this.end(node));
  }

  symbol(node: number, symbols: Symbols): number {
    return symbols.findText(valueText(this, node));
  }

  cached(): number {
    return -1;
  }

  cache(): void {
    // The values of texts are strings already, which whoever asks can keep.
  }

  startsWith(node: number, text: string): boolean {
    return valueText(this, node).startsWith(text);
  }

  search(): boolean {
    return false;
  }

  isCompact(node: number): boolean {
    return isCompactTape(this.tape, node);
  }

  private value(depth: number): number {
    if (depth >= jsonDepthMax) this.fail(`JSON nests deeper than ${jsonDepthMax}`);
    const char = this.text.charCodeAt(this.at);
    if (char === 0x22) return this.stringNode();
    if (char === 0x7b) return this.objectNode(depth);
    if (char === 0x5b) return this.arrayNode(depth);
    if (char === 0x2d || (char >= 0x30 && char <= 0x39)) return this.numberNode();
    return this.literalNode();
  }

  private objectNode(depth: number): number {
    const node = this.open(kinds.object, this.at++);
    this.skipBlanks();
    if (this.takes(0x7d)) return this.close(node, this.at);
    for (;;) {
      if (this.text.charCodeAt(this.at) !== 0x22) this.fail("expected a key in quotes");
      this.stringNode();
      this.skipBlanks();
      if (!this.takes(0x3a)) this.fail("expected ':' after a key");
      this.skipBlanks();
      this.value(depth + 1);
      this.skipBlanks();
      if (this.takes(0x7d)) return this.close(node, this.at);
      if (!this.takes(0x2c)) this.fail("expected ',' or '}'");
      this.skipBlanks();
    }
  }

  private arrayNode(depth: number): number {
    const node = this.open(kinds.array, this.at++);
    this.skipBlanks();
    if (this.takes(0x5d)) return this.close(node, this.at);
    for (;;) {
      this.value(depth + 1);
      this.skipBlanks();
      if (this.takes(0x5d)) return this.close(node, this.at);
      if (!this.takes(0x2c)) this.fail("expected ',' or ']'");
      this.skipBlanks();
    }
  }

  private stringNode(): number {
    const start = this.at + 1;
    let end = this.text.indexOf('"', start);
    if (this.backslash >= 0 && this.backslash < start) this.backslash = this.text.indexOf("\\", start);
    const escaped = this.backslash >= 0 && this.backslash < end;
    while (end >= 0 && this.backslash >= 0 && this.backslash < end) {
      // The character after a backslash never ends the string.
      if (end === this.backslash + 1) end = this.text.indexOf('"', end + 1);
      this.backslash = this.text.indexOf("\\", this.backslash + 2);
    }
    if (end < 0) this.fail("unterminated string");
    // What a rule sees of a text with a NUL is not all that is written either.
    const isOdd = escaped || (this.hasNul && this.text.slice(start, end).includes("\0"));
    const node = this.open(isOdd ? kinds.escaped : kinds.string, start);
    this.at = end + 1;
    return this.close(node, end);
  }

  private numberNode(): number {
    const node = this.open(kinds.number, this.at);
    const end = numberEnd(this.text, this.at);
    if (end < 0) this.fail("invalid number");
    this.at = end;
    return this.close(node, end);
  }

  private literalNode(): number {
    const word = ["true", "false", "null"].find((word) => this.text.startsWith(word, this.at));
    if (word === undefined) this.fail("expected a JSON value");
    const node = this.open(kinds.literal, this.at);
    this.at += word.length;
    return this.close(node, this.at);
  }

  private open(kind: number, start: number): number {
    const node = this.used;
    if (node + stride > this.tape.length) this.grow();
    this.tape[node] = kind;
    this.tape[node + 1] = start;
    this.used = node + stride;
    return node;
  }

  private close(node: number, end: number): number {
    this.tape[node + 2] = end;
    this.tape[node + 3] = this.used;
    return node;
  }

  private grow(): void {
    const wider = new Int32Array(this.tape.length * 2);
    wider.set(this.tape);
    this.tape = wider;
  }

  private takes(code: number): boolean {
    if (this.text.charCodeAt(this.at) !== code) return false;
    this.at++;
    return true;
  }

  private skipBlanks(): void {
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.at++;
    }
  }

  private fail(message: string): never {
    throw new JsonProblem(message, this.at);
  }
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

function digits(text: string, at: number): number {
  let end = at;
  while (isDigit(text.charCodeAt(end))) end++;
  return end;
}

/** Where a JSON number ends, or -1 when none starts here. */
function numberEnd(text: string, at: number): number {
  const start = text.charCodeAt(at) === 0x2d ? at + 1 : at;
  let end = digits(text, start);
  if (end === start) return -1;
  if (text.charCodeAt(start) === 0x30 && end > start + 1) return -1;
  if (text.charCodeAt(end) === 0x2e) {
    const after = digits(text, end + 1);
    if (after === end + 1) return -1;
    end = after;
  }
  if ((text.charCodeAt(end) | 0x20) === 0x65) {
    const sign = text.charCodeAt(end + 1);
    const from = sign === 0x2b || sign === 0x2d ? end + 2 : end + 1;
    const after = digits(text, from);
    return after === from ? -1 : after;
  }
  return end;
}

const plainEscapes: ReadonlyMap<string, string> = new Map([
  ["b", "\b"],
  ["f", "\f"],
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
]);

/** Decodes the inside of a JSON string. An escape that JSON does not know, and half a pair, is kept as it is written. */
export function decodeString(raw: string): string {
  let text = "";
  let from = 0;
  for (let i = raw.indexOf("\\"); i >= 0; i = raw.indexOf("\\", from)) {
    text += raw.slice(from, i);
    const char = raw.charAt(i + 1);
    const plain = plainEscapes.get(char);
    const unit = char === "u" ? unitAt(raw, i) : undefined;
    from = i + (unit === undefined ? 2 : 6);
    if (plain !== undefined) text += plain;
    else if (char === '"' || char === "\\" || char === "/") text += char;
    else if (unit === undefined) text += `\\${char}`;
    else if (!isSurrogate(unit)) text += String.fromCharCode(unit);
    else {
      const second = raw.startsWith("\\u", from) ? unitAt(raw, from) : undefined;
      text += second === undefined ? raw.slice(i, from) : pairOf(unit, second);
      if (second !== undefined) from += 6;
    }
  }
  return text + raw.slice(from);
}

/** The number in the escape `\uXXXX` at an offset. */
function unitAt(raw: string, at: number): number | undefined {
  const hex = raw.slice(at + 2, at + 6);
  return /^[0-9a-fA-F]{4}$/.test(hex) ? Number.parseInt(hex, 16) : undefined;
}

const isSurrogate = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdfff;

/** The character of two units; U+FFFD when they are no pair. */
function pairOf(high: number, low: number): string {
  const isPair = high < 0xdc00 && low >= 0xdc00 && low <= 0xdfff;
  return isPair ? String.fromCharCode(high, low) : "\ufffd";
}
