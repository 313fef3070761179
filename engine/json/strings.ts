/** Part of the language's platform wherever it runs, yet not of its standard library. */
declare const TextDecoder: new (
  label: "utf-8",
  options: { readonly ignoreBOM: boolean },
) => { readonly decode: (bytes: Uint8Array) => string };

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

const places = 8192;
const lengthMax = 96;
/** Up to this length a loop is quicker than the decoder is to be called. */
const shortMax = 12;

/**
 * Makes strings of bytes, and remembers those made lately: an audit log says the same few thousand names over and over, and
 * a name that is found again costs no memory. A place holds one string, so the cache never grows.
 */
export class StringCache {
  private readonly held: string[];

  constructor() {
    this.held = Array.from({ length: places }, () => "");
  }

  /** The text of UTF-8 bytes; what is not valid becomes U+FFFD. */
  text(bytes: Uint8Array, start: number, end: number): string {
    const length = end - start;
    if (length === 0) return "";
    if (length > lengthMax) return decode(bytes, start, end);
    let hash = length;
    // Every byte of a short text and some of a long one, its last among them: that is where names of a kind differ.
    const step = 1 + (length >> 4);
    for (let at = end - 1; at >= start; at -= step) hash = Math.imul(hash ^ (bytes[at] ?? 0), 0x01000193);
    const place = (hash ^ (hash >>> 15)) & (places - 1);
    const held = this.held[place] ?? "";
    if (held.length === length && spells(held, bytes, start)) return held;
    const made = decode(bytes, start, end);
    this.held[place] = made;
    return made;
  }
}

/** Whether bytes are the characters of a text one for one, all of them ASCII. */
function spells(text: string, bytes: Uint8Array, start: number): boolean {
  for (let i = 0; i < text.length; i++) {
    const byte = bytes[start + i] ?? 0;
    if (byte >= 0x80 || text.charCodeAt(i) !== byte) return false;
  }
  return true;
}

/** Decodes UTF-8; what is not valid becomes U+FFFD. */
export function decode(bytes: Uint8Array, start: number, end: number): string {
  if (end - start > shortMax) return decoder.decode(bytes.subarray(start, end));
  let text = "";
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte >= 0x80) return decoder.decode(bytes.subarray(start, end));
    text += String.fromCharCode(byte);
  }
  return text;
}
