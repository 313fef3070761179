import { isUtf8 } from "node:buffer";
import { JsonText } from "./json-text.ts";
import { RecordScanner } from "./scan.ts";

/** The records of a body as lines, or why it holds none. */
export type SplitBody =
  | { readonly ok: true; readonly count: number; readonly entries: readonly Buffer[] }
  | { readonly ok: false; readonly why: string };

/** So many bytes of lines go into one piece, or one line that is longer. */
const entryBytes = 1024 * 1024;

/**
 * Takes a body apart: one JSON object, several after one another, an array of them, or what the API server's webhook sends,
 * an `EventList`. Each record's bytes are copied, not rebuilt; line breaks between its values become blanks, so that a
 * record is one line. A body is taken as a whole or not at all.
 */
export class BodySplitter {
  readonly #scanner = new RecordScanner();
  readonly #itemScanner = new RecordScanner();
  readonly #text = new JsonText();
  #entries: Buffer[] = [];
  #count = 0;

  split(body: Buffer): SplitBody {
    this.#entries = [];
    this.#count = 0;
    this.#text.reset();
    const why = isUtf8(body) ? this.#values(body) : "it is not UTF-8";
    if (why !== undefined) return { ok: false, why };
    this.#endEntry();
    return { ok: true, count: this.#count, entries: this.#entries };
  }

  #values(body: Buffer): string | undefined {
    const hasMark = body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf;
    let at = skipBlanks(body, hasMark ? 3 : 0);
    if (at === body.length) return "it is empty";
    if (body[at] === 0x5b) {
      const end = this.#elements(body, at, body.length, (from, to) => this.#object(body, from, to));
      if (typeof end === "string") return end;
      return skipBlanks(body, end) === body.length ? undefined : `something follows the array at byte ${end}`;
    }
    while (at < body.length) {
      const end = objectEnd(body, at, body.length);
      const why =
        end === -1
          ? `it is no JSON object at byte ${at}, or one that is cut off`
          : this.#object(body, at, end);
      if (why !== undefined) return why;
      at = skipBlanks(body, end);
    }
    return undefined;
  }

  /** Calls for each object in an array; where the array ends, or what is wrong. */
  #elements(
    body: Buffer,
    start: number,
    limit: number,
    take: (from: number, to: number) => string | undefined,
  ): number | string {
    let at = skipBlanks(body, start + 1);
    if (body[at] === 0x5d) return at + 1;
    for (;;) {
      const end = objectEnd(body, at, limit);
      if (end === -1) return `an element of the array is no object, or cut off, at byte ${at}`;
      const why = take(at, end);
      if (why !== undefined) return why;
      at = skipBlanks(body, end);
      if (at < limit && body[at] === 0x5d) return at + 1;
      if (at >= limit || body[at] !== 0x2c) return `the array misses a comma or its end at byte ${at}`;
      at = skipBlanks(body, at + 1);
    }
  }

  #object(body: Buffer, from: number, to: number): string | undefined {
    if (!this.#scanner.scan(body, from, to)) return `at byte ${from}: ${this.#scanner.why}`;
    const list = this.#eventList(body);
    if (list === undefined) {
      this.#line(body, from, to, undefined);
      return undefined;
    }
    if (list.start === list.end) return undefined;
    const end = this.#elements(body, list.start, list.end, (itemFrom, itemTo) => {
      this.#event(body, itemFrom, itemTo, list.apiVersion);
      return undefined;
    });
    return typeof end === "string" ? end : undefined;
  }

  /** Where the items of a scanned EventList are, nowhere when it has none; undefined when it is no list. */
  #eventList(body: Buffer): { start: number; end: number; apiVersion: string } | undefined {
    const { members, count } = this.#scanner;
    let [isList, start, end, apiVersion] = [false, 0, 0, '"audit.k8s.io/v1"'];
    for (let index = 0; index < count; index++) {
      const [keyStart = 0, keyEnd = 0, from = 0, to = 0] = members.subarray(4 * index, 4 * index + 4);
      // Long keys and values are none of those that are looked for.
      const key = keyEnd - keyStart > 16 ? "" : body.toString("latin1", keyStart, keyEnd);
      if (key === '"kind"') isList = body.toString("latin1", from, Math.min(to, from + 16)) === '"EventList"';
      else if (key === '"items"' && body[from] === 0x5b) [start, end] = [from, to];
      else if (key === '"apiVersion"' && body[from] === 0x22 && to - from <= 64) {
        apiVersion = body.toString("utf8", from, to);
      }
    }
    return isList ? { start, end, apiVersion } : undefined;
  }

  /** Items of a list do not say what they are: the list does. Alone they have to. */
  #event(body: Buffer, from: number, to: number, apiVersion: string): void {
    const scanner = this.#itemScanner;
    if (!scanner.scan(body, from, to)) {
      throw new Error(`An item of a scanned list is no object: ${scanner.why}`);
    }
    let hasKind = false;
    for (let index = 0; index < scanner.count; index++) {
      const [keyStart = 0, keyEnd = 0] = scanner.members.subarray(4 * index, 4 * index + 2);
      if (keyEnd - keyStart === 6 && body.toString("latin1", keyStart, keyEnd) === '"kind"') hasKind = true;
    }
    this.#line(body, from, to, hasKind ? undefined : `"kind":"Event","apiVersion":${apiVersion}`);
  }

  /** Adds an object as a line, with members before its own when there are any. */
  #line(body: Buffer, from: number, to: number, before: string | undefined): void {
    const text = this.#text;
    if (text.length > 0 && text.length + to - from > entryBytes) this.#endEntry();
    const start = text.length;
    if (before === undefined) text.put(body, from, to);
    else {
      const isEmpty = body[skipBlanks(body, from + 1)] === 0x7d;
      text.put(Buffer.from(`{${before}${isEmpty ? "" : ","}`));
      text.put(body, from + 1, to);
    }
    // In JSON these stand between values only; inside of strings they are escaped.
    for (let at = start; at < text.length; at++) {
      const byte = text.bytes[at];
      if (byte === 0x0a || byte === 0x0d) text.bytes[at] = 0x20;
    }
    text.put(newline);
    this.#count++;
  }

  #endEntry(): void {
    if (this.#text.length > 0) {
      this.#entries.push(Buffer.from(this.#text.bytes.subarray(0, this.#text.length)));
    }
    this.#text.reset();
  }
}

const newline = Buffer.from("\n");

function skipBlanks(bytes: Buffer, from: number): number {
  let at = from;
  while (at < bytes.length) {
    const byte = bytes[at];
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break;
    at++;
  }
  return at;
}

/** Where the object that begins there ends, by its brackets alone; -1 when there is none. */
function objectEnd(bytes: Buffer, from: number, limit: number): number {
  if (bytes[from] !== 0x7b) return -1;
  let depth = 0;
  for (let at = from; at < limit; at++) {
    const byte = bytes[at];
    if (byte === 0x22) {
      at = stringEnd(bytes, at + 1, limit);
      if (at === -1) return -1;
    } else if (byte === 0x7b || byte === 0x5b) depth++;
    else if (byte === 0x7d || byte === 0x5d) {
      depth--;
      if (depth === 0) return at + 1;
    }
  }
  return -1;
}

/** The place of the quote that ends a string; -1 when there is none. */
function stringEnd(bytes: Buffer, from: number, limit: number): number {
  for (let at = from; at < limit; at++) {
    const byte = bytes[at];
    if (byte === 0x22) return at;
    if (byte === 0x5c) at++;
  }
  return -1;
}
