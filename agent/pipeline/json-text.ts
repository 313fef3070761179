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

  /**
   * Appends the inside of a JSON string that means these bytes; they have to be UTF-8. Read as Latin-1 every byte is a
   * character, so that what JSON escapes is escaped and everything else stays the byte that it is.
   */
  putEscaped(source: Buffer, start: number, end: number): void {
    const text = JSON.stringify(source.toString("latin1", start, end)).slice(1, -1);
    this.#reserve(text.length);
    this.length += this.bytes.write(text, this.length, "latin1");
    this.bytes[this.length] = 0x0a;
  }

  #reserve(size: number): void {
    const wanted = this.length + size + 1;
    if (wanted <= this.bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(wanted, this.bytes.length * 2));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }
}
