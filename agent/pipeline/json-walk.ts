import { skipBlanks, stringEnd } from "#engine";
import type { FieldPath, PathStep } from "#shipper";

// Everything here takes bytes that a scanner has found to be valid: there is always a closing quote and bracket.

/** Some JSON text that lies in bytes. */
export interface Text {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

/** All of some bytes, as a text. */
export function wholeOf(bytes: Buffer): Text {
  return { bytes, start: 0, end: bytes.length };
}

/** A top-level key as filters look for it. */
export class RecordKey {
  readonly name: string;
  /** As JSON, quotes included. */
  readonly json: Buffer;
  /** Whether its JSON holds escapes. */
  readonly isHard: boolean;

  constructor(name: string) {
    this.name = name;
    this.json = Buffer.from(JSON.stringify(name));
    this.isHard = this.json.includes(0x5c);
  }

  /** Whether the key that lies there, quotes included, is this one, however its letters are escaped. */
  isAt(bytes: Buffer, start: number, end: number): boolean {
    const { json } = this;
    // No spelling of a key is shorter than this one.
    if (end - start < json.length) return false;
    if (end - start === json.length && equals(bytes, start, json)) return true;
    return hasEscape(bytes, start, end) && textOf(bytes, start, end) === this.name;
  }
}

/** Whether the bytes from `start` are those of `wanted`. From the end, as keys differ more in it. */
export function equals(bytes: Buffer, start: number, wanted: Buffer): boolean {
  for (let index = wanted.length - 1; index >= 0; index--) {
    if (bytes[start + index] !== wanted[index]) return false;
  }
  return true;
}

/** Whether a string holds a backslash, so that its bytes are not what it says. */
export function hasEscape(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at] === 0x5c) return true;
  return false;
}

/** What a string says. `start` and `end` are those of its quotes. */
export function textOf(bytes: Buffer, start: number, end: number): string {
  const text = bytes.toString("utf8", start, end);
  return text.includes("\\") ? (JSON.parse(text) as string) : text.slice(1, -1);
}

/** Where the value that begins at `at` ends. */
export function valueEnd(bytes: Buffer, at: number): number {
  const first = bytes[at];
  if (first === 0x22) return Math.abs(stringEnd(bytes, at + 1)) + 1;
  if (first !== 0x7b && first !== 0x5b) return scalarEnd(bytes, at);
  let depth = 0;
  for (let here = at; ; here++) {
    const byte = bytes[here] ?? 0;
    if (byte === 0x22) here = Math.abs(stringEnd(bytes, here + 1));
    else if (byte === 0x7b || byte === 0x5b) depth++;
    else if ((byte === 0x7d || byte === 0x5d) && --depth === 0) return here + 1;
  }
}

/** Where the number or word at `at` ends. */
export function scalarEnd(bytes: Buffer, at: number): number {
  let end = at;
  for (;;) {
    const byte = bytes[end] ?? 0;
    if (byte <= 0x20 || byte === 0x2c || byte === 0x7d || byte === 0x5d) return end;
    end++;
  }
}

/** Called with the offsets of a key, quotes included, and of its value; in an array key offsets are 0. */
export type Visit = (keyStart: number, keyEnd: number, start: number, end: number) => void;

/** Visits the members of the object, or the elements of the array, at `at`; anything else has none. */
export function eachChild(bytes: Buffer, at: number, visit: Visit): void {
  const isObject = bytes[at] === 0x7b;
  if (!isObject && bytes[at] !== 0x5b) return;
  let here = skipBlanks(bytes, at + 1);
  if (bytes[here] === (isObject ? 0x7d : 0x5d)) return;
  for (;;) {
    let [keyStart, keyEnd] = [0, 0];
    if (isObject) {
      keyStart = here;
      keyEnd = Math.abs(stringEnd(bytes, here + 1)) + 1;
      here = skipBlanks(bytes, skipBlanks(bytes, keyEnd) + 1);
    }
    const end = valueEnd(bytes, here);
    visit(keyStart, keyEnd, here, end);
    const after = skipBlanks(bytes, end);
    if (bytes[after] !== 0x2c) return;
    here = skipBlanks(bytes, after + 1);
  }
}

/** A path ready to be followed: its keys as bytes. */
export type Steps = readonly (RecordKey | number | "any")[];

export function stepsOf(path: FieldPath): Steps {
  return path.map((step: PathStep) => {
    if (step.kind === "any") return "any";
    return step.kind === "index" ? step.index : new RecordKey(step.name);
  });
}

/** Calls for every value that the steps lead to from the value at `at`, those of repeated keys included. */
export function eachMatch(
  bytes: Buffer,
  at: number,
  steps: Steps,
  found: (start: number, end: number) => void,
): void {
  const [step, ...rest] = steps;
  if (step === undefined) return found(at, valueEnd(bytes, at));
  let index = 0;
  const isObject = bytes[at] === 0x7b;
  eachChild(bytes, at, (keyStart, keyEnd, start) => {
    const isMeant =
      step === "any" ||
      (typeof step === "number"
        ? !isObject && step === index
        : isObject && step.isAt(bytes, keyStart, keyEnd));
    index++;
    if (isMeant) eachMatch(bytes, start, rest, found);
  });
}

/** The value that the steps lead to from the value at `at`. Of a repeated key the last one counts, as in JSON.parse. */
export function findValue(bytes: Buffer, at: number, steps: Steps): Text | undefined {
  let here = at;
  for (const step of steps) {
    let next = -1;
    let index = 0;
    const isObject = bytes[here] === 0x7b;
    eachChild(bytes, here, (keyStart, keyEnd, start) => {
      if (step === "any" || isObject !== (typeof step === "object")) return;
      if (typeof step === "number" ? step === index++ : step.isAt(bytes, keyStart, keyEnd)) next = start;
    });
    if (next === -1) return undefined;
    here = next;
  }
  return { bytes, start: here, end: valueEnd(bytes, here) };
}
