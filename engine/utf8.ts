/** Bytes that a text takes in UTF-8; lengths and limits of the language are counted in them. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    if (unit < 0x800) bytes += 1;
    else if (unit >= 0xd800 && unit <= 0xdbff && isLow(text.charCodeAt(i + 1))) {
      bytes += 2;
      i++;
    } else bytes += 2;
  }
  return bytes;
}

const isLow = (unit: number): boolean => unit >= 0xdc00 && unit <= 0xdfff;

/** Cuts a text to at most `bytesMax` bytes of UTF-8, never inside a character. */
export function utf8Cut(text: string, bytesMax: number): string {
  if (text.length * 3 <= bytesMax) return text;
  let bytes = 0;
  let end = 0;
  for (const char of text) {
    bytes += utf8Length(char);
    if (bytes > bytesMax) return text.slice(0, end);
    end += char.length;
  }
  return text;
}

/** Orders texts as their UTF-8 bytes would be ordered, which UTF-16 units alone get wrong above U+FFFF. */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return byteRank(x) - byteRank(y);
  }
  return a.length - b.length;
}

/** Surrogates stand for characters above U+FFFF and so come after every other unit. */
const byteRank = (unit: number): number => (unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit);

/** A text with one character from U+0000 to U+00FF for each byte of UTF-8; half a pair becomes U+FFFD. */
export function utf8Text(text: string): string {
  let bytes = "";
  for (const char of text.toWellFormed()) {
    const point = char.codePointAt(0) ?? 0;
    if (point < 0x80) bytes += char;
    else if (point < 0x800) bytes += String.fromCharCode(0xc0 | (point >> 6), trailing(point));
    else if (point < 0x10000) {
      bytes += String.fromCharCode(0xe0 | (point >> 12), trailing(point >> 6), trailing(point));
    } else {
      const [first, second] = [0xf0 | (point >> 18), trailing(point >> 12)];
      bytes += String.fromCharCode(first, second, trailing(point >> 6), trailing(point));
    }
  }
  return bytes;
}

const trailing = (bits: number): number => 0x80 | (bits & 0x3f);

/** Decodes UTF-8; what is not valid becomes U+FFFD, once for each start of a character that does not go on as it must. */
export function decodeUtf8(bytes: ArrayLike<number>): string {
  let text = "";
  let at = 0;
  while (at < bytes.length) {
    const lead = bytes[at++] ?? 0;
    const size = sizeOf(lead);
    let point = size === 1 ? lead : lead & (0xff >> (size + 1));
    let left = size - 1;
    for (; left > 0 && follows(bytes[at], lead, left === size - 1); left--) {
      point = (point << 6) | ((bytes[at++] ?? 0) & 0x3f);
    }
    text += size === 0 || left > 0 ? "\ufffd" : String.fromCodePoint(point);
  }
  return text;
}

/** Bytes of the character that a byte starts, or 0 when none starts with it. */
function sizeOf(lead: number): number {
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/** Whether a byte goes on with a character. The second byte must not make it overlong, a surrogate, or too large. */
function follows(byte: number | undefined, lead: number, isSecond: boolean): boolean {
  if (byte === undefined || (byte & 0xc0) !== 0x80) return false;
  if (!isSecond) return true;
  if (lead === 0xe0) return byte >= 0xa0;
  if (lead === 0xed) return byte < 0xa0;
  if (lead === 0xf0) return byte >= 0x90;
  return lead !== 0xf4 || byte < 0x90;
}
