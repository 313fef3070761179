import type { HttpConfig } from "#shipper";
import type { Arena } from "./arena.ts";
import { putShort, skipBrace } from "./put.ts";
import { RecordClock } from "./record-time.ts";
import type { Part, Records } from "./records.ts";

/** Room for a date and separators beside the key and the record. */
const dateBytesMax = 64;

/** What a date has behind its whole seconds: so many digits, and an end. */
const fractions = { double: 6, epoch: 0, epoch_ms: 3, iso8601: 6 } as const;
const isoEnd = Buffer.from('Z"');
const noEnd = Buffer.alloc(0);

/** Makes the bodies of requests in the formats of Fluent Bit's http output. Records are copied; only the date goes in. */
export class HttpFormat {
  readonly #format: HttpConfig["format"];
  readonly #dateFormat: HttpConfig["dateFormat"];
  readonly #dateKey: string | undefined;
  readonly #digits: number;
  readonly #end: Buffer;
  readonly #clock = new RecordClock();
  /** `{"date":1795343481.` as it was made last, and for which second. */
  #head: Buffer = noEnd;
  #headSeconds = Number.NaN;

  constructor({ format, dateKey, dateFormat }: Pick<HttpConfig, "format" | "dateKey" | "dateFormat">) {
    this.#format = format;
    this.#dateFormat = dateFormat;
    this.#dateKey = dateKey;
    this.#digits = fractions[dateFormat];
    this.#end = dateFormat === "iso8601" ? isoEnd : noEnd;
  }

  /** The body for some records: what lies in the queue's own buffer where that is the body, otherwise in the arena. */
  body(records: Records, part: Part, arena: Arena): readonly Buffer[] {
    if (this.#format === "json_lines" && this.#dateKey === undefined) return ranges(records, part);
    if (this.#format === "json") arena.putByte(0x5b);
    for (const [from, to] of part) {
      let entry = records.entryOf(from);
      for (let record = from; record < to; record++) {
        while (record >= (records.firsts[entry + 1] ?? Number.POSITIVE_INFINITY)) entry++;
        this.#put(records, record, records.entries[entry]?.oldestMs ?? 0, arena);
      }
    }
    // The last comma makes room for the bracket.
    if (this.#format === "json") arena.bytes[arena.length - 1] = 0x5d;
    return [arena.bytes.subarray(0, arena.length)];
  }

  #put({ bytes, starts, ends }: Records, record: number, otherwiseMs: number, arena: Arena): void {
    const start = starts[record] ?? 0;
    const end = ends[record] ?? 0;
    if (this.#dateKey === undefined) {
      arena.reserve(end - start + 1);
      arena.put(bytes, start, end);
    } else {
      const inner = skipBrace(bytes, start);
      this.#clock.read(bytes, start, end, otherwiseMs);
      this.#turnHeadTo(this.#clock.seconds, this.#dateKey);
      arena.reserve(end - start + this.#head.length + dateBytesMax);
      putShort(arena, this.#head, 0, this.#head.length);
      this.#putFraction(arena);
      putShort(arena, this.#end, 0, this.#end.length);
      if (bytes[inner] !== 0x7d) arena.putByte(0x2c);
      arena.put(bytes, inner, end);
    }
    if (this.#format === "json") arena.putByte(0x2c);
    else if (this.#format === "json_lines") arena.putByte(0x0a);
  }

  #turnHeadTo(seconds: number, dateKey: string): void {
    if (seconds === this.#headSeconds) return;
    this.#headSeconds = seconds;
    this.#head = Buffer.from(`{${JSON.stringify(dateKey)}:${this.#wholeSeconds(seconds)}`);
  }

  #wholeSeconds(seconds: number): string {
    switch (this.#dateFormat) {
      case "double":
        return `${seconds}.`;
      case "epoch":
      case "epoch_ms":
        return String(seconds);
      case "iso8601":
        return `"${new Date(seconds * 1000).toISOString().slice(0, 19)}.`;
    }
  }

  #putFraction(arena: Arena): void {
    let rest = Math.floor(this.#clock.nanos / 10 ** (9 - this.#digits));
    arena.length += this.#digits;
    for (let at = arena.length - 1; at >= arena.length - this.#digits; at--) {
      const next = Math.floor(rest / 10);
      arena.bytes[at] = 0x30 + rest - next * 10;
      rest = next;
    }
  }
}

/** The lines of a part as they lie in memory, each with its newline, as few pieces. */
function ranges({ bytes, starts, ends }: Records, part: Part): readonly Buffer[] {
  const found: Buffer[] = [];
  for (const [from, to] of part) {
    let begin = from;
    for (let record = from; record < to; record++) {
      const next = record + 1;
      if (next < to && starts[next] === (ends[record] ?? 0) + 1) continue;
      found.push(bytes.subarray(starts[begin], (ends[record] ?? 0) + 1));
      begin = next;
    }
  }
  return found;
}
