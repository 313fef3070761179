/**
 * The lines that one turn produces, one after the other, each with its newline. It is reused turn after turn: who wants
 * to keep bytes has to write or copy them before the turn ends.
 */
export class Arena {
  bytes: Buffer = Buffer.allocUnsafe(1_500_000);
  length = 0;

  reset(): void {
    this.length = 0;
  }

  /** Makes room for `size` more bytes. Offsets stay valid; `bytes` may become another buffer. */
  reserve(size: number): void {
    const wanted = this.length + size;
    if (wanted <= this.bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(wanted, this.bytes.length * 2));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }

  /** Appends bytes; there has to be room for them. */
  put(source: Uint8Array, start: number, end: number): void {
    if (source instanceof Buffer) source.copy(this.bytes, this.length, start, end);
    else this.bytes.set(source.subarray(start, end), this.length);
    this.length += end - start;
  }

  putByte(byte: number): void {
    this.bytes[this.length++] = byte;
  }
}
