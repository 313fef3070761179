import { skipBlanks, stringEnd } from "#engine";

const dot = 0x2e;
const underscore = 0x5f;
const colon = 0x3a;

/**
 * Makes underscores of the dots in all keys, at all depths, in place: Elasticsearch takes a key with dots for a path. The
 * bytes have to be valid JSON, or the inside of an object up to its closing brace.
 */
export function dotsToUnderscores(bytes: Buffer, start: number, end: number): void {
  for (let at = start; at < end; at++) {
    if (bytes[at] !== 0x22) continue;
    const close = stringEnd(bytes, at + 1);
    const stop = Math.abs(close);
    // Only a key has a colon behind it.
    if (bytes[skipBlanks(bytes, stop + 1)] === colon) replaceIn(bytes, at + 1, stop, close < 0);
    at = stop;
  }
}

function replaceIn(bytes: Buffer, start: number, end: number, hasEscapes: boolean): void {
  for (let at = start; at < end; at++) {
    if (bytes[at] === dot) bytes[at] = underscore;
    else if (hasEscapes && bytes[at] === 0x5c) {
      // The escaped form of a dot has the length of that of an underscore.
      if (bytes.toString("latin1", at, at + 6).toLowerCase() === "\\u002e") {
        bytes.write("\\u005f", at, "latin1");
      }
      at++;
    }
  }
}
