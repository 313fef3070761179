/**
 * Bytes of JSON that grow at their end: a record is put together here and copied on before the next one. A line break always
 * follows, which scanners want.
 */
export class JsonText {
  bytes: Buffer = Buffer.allocUnsafe(65_536);
  length = 0;

  reset(): void {
    this.length = 0;
    // One huge record is no reason to keep its memory.
    if (this.bytes.length > 8_388_608) this.bytes = Buffer.allocUnsafe(65_536);
  }

  /** Appends bytes as they are. */
  put(source: Uint8Array, start: number = 0, end: number = source.length): void {
    this.#reserve(end - start);
    this.bytes.set(source.subarray(start, end), this.length);
    this.length += end - start;
    this.bytes[this.length] = 0x0a;
  }

  /** Appends the inside of a JSON string that means these bytes; they have to be UTF-8. */
  putEscaped(source: Uint8Array, start: number, end: number): void {
    this.#reserve(6 * (end - start));
    const { bytes } = this;
    let length = this.length;
    for (let at = start; at < end; at++) {
      const byte = source[at] ?? 0;
      if (byte >= 0x20 && byte !== 0x22 && byte !== 0x5c) {
        bytes[length++] = byte;
        continue;
      }
      const short = shortEscapes[byte];
      if (short !== undefined) {
        bytes[length++] = 0x5c;
        bytes[length++] = short;
      } else length += bytes.write(`\\u${byte.toString(16).padStart(4, "0")}`, length, "latin1");
    }
    this.length = length;
    bytes[length] = 0x0a;
  }

  #reserve(size: number): void {
    const wanted = this.length + size + 1;
    if (wanted <= this.bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(wanted, this.bytes.length * 2));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }
}

/** What stands behind the backslash, by byte. */
const shortEscapes: Readonly<Record<number, number>> = {
  0x08: 0x62,
  0x09: 0x74,
  0x0a: 0x6e,
  0x0c: 0x66,
  0x0d: 0x72,
  0x22: 0x22,
  0x5c: 0x5c,
};
