/** Bytes at which the plain run of a JSON string ends: quote, backslash, control characters, and all beyond ASCII. */
const stops = new Uint8Array(256);
for (let byte = 0; byte < 256; byte++) {
  if (byte < 0x20 || byte === 0x22 || byte === 0x5c || byte >= 0x80) stops[byte] = 1;
}

/** The offset of the first byte that is no blank. Here and below, what lies beyond the end of the bytes is no blank and no digit. */
export function skipBlanks(bytes: Uint8Array, from: number): number {
  let at = from;
  for (;;) {
    const byte = bytes[at] ?? 0xff;
    if (byte > 0x20 || (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)) return at;
    at++;
  }
}

/**
 * The offset of the quote that ends a string whose inside starts at `from`: negative when the string must be decoded, and 0
 * when it is none. A string never runs over the end of a line, as a line break in it would be none either.
 */
export function stringEnd(bytes: Uint8Array, from: number): number {
  let at = from;
  while (stops[bytes[at] ?? 0] === 0) at++;
  if (bytes[at] === 0x22) return at;
  return hardStringEnd(bytes, at);
}

function hardStringEnd(bytes: Uint8Array, from: number): number {
  let at = from;
  while (at < bytes.length) {
    const byte = bytes[at] ?? 0;
    if (byte === 0x22) return -at;
    if (byte < 0x20) return 0;
    if (byte !== 0x5c) at++;
    else {
      const size = escapeSize(bytes, at + 1);
      if (size === 0) return 0;
      at += size;
    }
  }
  return 0;
}

/** Bytes that an escape takes with its backslash; 0 for one that JSON does not know. */
function escapeSize(bytes: Uint8Array, at: number): number {
  switch (bytes[at] ?? 0) {
    case 0x22:
    case 0x2f:
    case 0x5c:
    case 0x62:
    case 0x66:
    case 0x6e:
    case 0x72:
    case 0x74:
      return 2;
    case 0x75:
      for (let i = 1; i <= 4; i++) if (!isHex(bytes[at + i] ?? 0)) return 0;
      return 6;
    default:
      return 0;
  }
}

function isHex(byte: number): boolean {
  return isDigit(byte) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66);
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

/** Where `true`, `false` or `null` ends, or -1 when none of them starts here. */
export function wordEnd(bytes: Uint8Array, at: number): number {
  switch (bytes[at] ?? 0) {
    case 0x74:
      return bytes[at + 1] === 0x72 && bytes[at + 2] === 0x75 && bytes[at + 3] === 0x65 ? at + 4 : -1;
    case 0x6e:
      return bytes[at + 1] === 0x75 && bytes[at + 2] === 0x6c && bytes[at + 3] === 0x6c ? at + 4 : -1;
    case 0x66:
      return bytes[at + 1] === 0x61 &&
        bytes[at + 2] === 0x6c &&
        bytes[at + 3] === 0x73 &&
        bytes[at + 4] === 0x65
        ? at + 5
        : -1;
    default:
      return -1;
  }
}

/** Where a JSON number ends, or -1 when none starts here. */
export function numberEnd(bytes: Uint8Array, at: number): number {
  const start = bytes[at] === 0x2d ? at + 1 : at;
  let end = digitsEnd(bytes, start);
  if (end === start || (bytes[start] === 0x30 && end > start + 1)) return -1;
  if (bytes[end] === 0x2e) {
    const after = digitsEnd(bytes, end + 1);
    if (after === end + 1) return -1;
    end = after;
  }
  if (((bytes[end] ?? 0) | 0x20) !== 0x65) return end;
  const sign = bytes[end + 1];
  const from = sign === 0x2b || sign === 0x2d ? end + 2 : end + 1;
  const after = digitsEnd(bytes, from);
  return after === from ? -1 : after;
}

function digitsEnd(bytes: Uint8Array, from: number): number {
  let at = from;
  while (isDigit(bytes[at] ?? 0)) at++;
  return at;
}
