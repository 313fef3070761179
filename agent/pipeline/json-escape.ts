import type { Arena } from "./arena.ts";

/** How a byte stands in a string: 0 as it is, otherwise the letter behind a backslash; `u` for those that have none. */
const letters = new Uint8Array(256);
for (let byte = 0; byte < 0x20; byte++) letters[byte] = 0x75;
for (const [byte, letter] of Object.entries({
  8: "b",
  9: "t",
  10: "n",
  12: "f",
  13: "r",
  34: '"',
  92: "\\",
})) {
  letters[Number(byte)] = letter.charCodeAt(0);
}
const hex = Buffer.from("0123456789abcdef");

/**
 * Appends UTF-8 as the inside of a JSON string. Behind it there has to be a line break: it ends the run of plain bytes, so
 * that not each of them has to be asked whether it is the last one.
 */
export function putEscaped(arena: Arena, source: Uint8Array, start: number, end: number): void {
  // Control characters take six bytes, and JSON text holds none but blanks.
  arena.reserve(6 * (end - start) + 1);
  const { bytes } = arena;
  let at = arena.length;
  for (let from = start; ; from++) {
    let byte = source[from] ?? 0;
    while (letters[byte] === 0) {
      bytes[at++] = byte;
      byte = source[++from] ?? 0;
    }
    if (from >= end) break;
    bytes[at++] = 0x5c;
    bytes[at++] = letters[byte] ?? 0;
    if (letters[byte] !== 0x75) continue;
    bytes[at++] = 0x30;
    bytes[at++] = 0x30;
    bytes[at++] = hex[byte >> 4] ?? 0;
    bytes[at++] = hex[byte & 15] ?? 0;
  }
  arena.length = at;
}
