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

/** Decodes UTF-8; what is not valid becomes U+FFFD, as everywhere else on the way of a record. */
export function decodeUtf8(bytes: readonly number[]): string {
  let text = "";
  let i = 0;
  while (i < bytes.length) {
    const lead = bytes[i] ?? 0;
    const size =
      lead < 0x80
        ? 1
        : lead >= 0xc2 && lead < 0xe0
          ? 2
          : lead >= 0xe0 && lead < 0xf0
            ? 3
            : lead >= 0xf0 && lead < 0xf5
              ? 4
              : 0;
    const point = size === 0 ? -1 : codePoint(bytes, i, size);
    text += point < 0 ? "\ufffd" : String.fromCodePoint(point);
    i += point < 0 ? 1 : size;
  }
  return text;
}

function codePoint(bytes: readonly number[], at: number, size: number): number {
  const lead = bytes[at] ?? 0;
  if (size === 1) return lead;
  let point = lead & (0xff >> (size + 1));
  for (let k = 1; k < size; k++) {
    const next = bytes[at + k] ?? 0;
    if ((next & 0xc0) !== 0x80) return -1;
    point = (point << 6) | (next & 0x3f);
  }
  const least = size === 2 ? 0x80 : size === 3 ? 0x800 : 0x10000;
  const isSurrogate = point >= 0xd800 && point <= 0xdfff;
  return point < least || point > 0x10ffff || isSurrogate ? -1 : point;
}
