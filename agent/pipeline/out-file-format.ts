import { Arena } from "./arena.ts";
import { RecordClock } from "./record-time.ts";

/** Room for a time, brackets and separators beside the record. */
const extraBytes = 48;
const close = Buffer.from("]\n");

/** Writes records as Fluent Bit's file output does by itself: `TAG: [SECONDS.NANOSECONDS, RECORD]`. */
export class OutFileFormat {
  readonly #arena = new Arena();
  readonly #clock = new RecordClock();

  /** The lines of records of one tag; valid until the next call. What has no time of its own happened at `otherwiseMs`. */
  lines(tag: string, buffers: readonly Buffer[], otherwiseMs: number): Buffer {
    const arena = this.#arena;
    arena.reset();
    // A tag may hold anything; a line break in it would tear the line.
    const before = Buffer.from(`${tag.replaceAll(/[\r\n]/g, " ")}: [`);
    for (const bytes of buffers) {
      for (let start = 0; start < bytes.length;) {
        const newline = bytes.indexOf(0x0a, start);
        const end = newline === -1 ? bytes.length : newline;
        arena.reserve(before.length + end - start + extraBytes);
        arena.put(before, 0, before.length);
        this.#clock.read(bytes, start, end, otherwiseMs);
        const { seconds, nanos } = this.#clock;
        const time = `${seconds}.${String(nanos).padStart(9, "0")}, `;
        arena.length += arena.bytes.write(time, arena.length, "latin1");
        arena.put(bytes, start, end);
        arena.put(close, 0, close.length);
        start = end + 1;
      }
    }
    return arena.bytes.subarray(0, arena.length);
  }
}
