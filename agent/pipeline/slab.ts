const bytesMin = 256 * 1024;
const bytesKept = 8 * 1024 * 1024;

/** One buffer that is used again and again, because fresh memory costs more than what is read into it. */
export class Slab {
  #bytes: Buffer = Buffer.alloc(0);

  /** A buffer of at least `size` bytes; what was in it before is gone. A very large one is not kept. */
  take(size: number): Buffer {
    if (size <= this.#bytes.length) return this.#bytes;
    const fresh = Buffer.allocUnsafeSlow(Math.max(size, bytesMin));
    if (size <= bytesKept) this.#bytes = fresh;
    return fresh;
  }
}
