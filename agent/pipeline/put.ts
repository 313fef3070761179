import type { Arena } from "./arena.ts";

// For what comes with every record. There has to be room, but where it says otherwise.

/** Appends a few bytes; for so few a loop is faster than a call. */
export function putShort(arena: Arena, source: Uint8Array, start: number, end: number): void {
  const { bytes } = arena;
  let at = arena.length;
  for (let from = start; from < end; from++) bytes[at++] = source[from] ?? 0;
  arena.length = at;
}

/** Appends a text of ASCII. */
export function putText(arena: Arena, text: string): void {
  arena.length += arena.bytes.write(text, arena.length, "latin1");
}

/** Appends a text and makes the room for it. */
export function putUtf8(arena: Arena, text: string): void {
  arena.reserve(3 * text.length);
  arena.length += arena.bytes.write(text, arena.length);
}

/** Where the brace of the object is that begins at `start` or behind blanks. */
export function braceAt(bytes: Buffer, start: number): number {
  let at = start;
  while (bytes[at] !== 0x7b) at++;
  return at;
}

/** The first byte of that object that is not its brace and no blank. */
export function skipBrace(bytes: Buffer, start: number): number {
  let at = braceAt(bytes, start) + 1;
  for (let byte = bytes[at]; byte === 0x20 || byte === 0x09 || byte === 0x0d; byte = bytes[at]) at++;
  return at;
}
