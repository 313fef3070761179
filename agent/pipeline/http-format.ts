import type { HttpConfig } from "#shipper";
import type { Arena } from "./arena.ts";
import { RecordClock } from "./record-time.ts";
import type { Part, Records } from "./records.ts";

/** Room for a key, a date and separators beside the record. */
const dateBytesMax = 64;

/** Makes the bodies of requests in the formats of Fluent Bit's http output. Records are copied; only the date goes in. */
export class HttpFormat {
  readonly #format: HttpConfig["format"];
  readonly #dateFormat: HttpConfig["dateFormat"];
  /** What stands before the date, `{"date":`, or undefined when there is none. */
  readonly #dateKey: string | undefined;
  readonly #clock = new RecordClock();
  #seconds = -1;
  #secondsText = "";

  constructor({ format, dateKey, dateFormat }: Pick<HttpConfig, "format" | "dateKey" | "dateFormat">) {
    this.#format = format;
    this.#dateFormat = dateFormat;
    this.#dateKey = dateKey === undefined ? undefined : `{${escaped(dateKey)}:`;
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
    arena.reserve(end - start + (this.#dateKey?.length ?? 0) + dateBytesMax);
    if (this.#dateKey === undefined) arena.put(bytes, start, end);
    else {
      const inner = skipBrace(bytes, start);
      this.#clock.read(bytes, start, end, otherwiseMs);
      putText(arena, this.#dateKey);
      putText(arena, this.#date(bytes));
      if (bytes[inner] !== 0x7d) arena.putByte(0x2c);
      arena.put(bytes, inner, end);
    }
    if (this.#format === "json") arena.putByte(0x2c);
    else if (this.#format === "json_lines") arena.putByte(0x0a);
  }

  #date(bytes: Buffer): string {
    const { seconds, nanos, textStart, textEnd } = this.#clock;
    if (seconds !== this.#seconds) {
      this.#seconds = seconds;
      this.#secondsText = String(seconds);
    }
    switch (this.#dateFormat) {
      case "double":
        return `${this.#secondsText}.${micros(nanos)}`;
      case "epoch":
        return this.#secondsText;
      case "epoch_ms":
        return `${this.#secondsText}${micros(nanos).slice(0, 3)}`;
      case "iso8601": {
        const text = textEnd > 0 ? bytes.toString("latin1", textStart, textStart + 19) : isoSeconds(seconds);
        return `"${text}.${micros(nanos)}Z"`;
      }
    }
  }
}

/** A key as JSON that needs no more than ASCII, so that each letter is a byte. */
function escaped(key: string): string {
  return JSON.stringify(key).replaceAll(
    /[\u0080-\uffff]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function micros(nanos: number): string {
  return String(Math.floor(nanos / 1000)).padStart(6, "0");
}

function isoSeconds(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(0, 19);
}

/** Appends a text of ASCII for which there is room. */
export function putText(arena: Arena, text: string): void {
  arena.length += arena.bytes.write(text, arena.length, "latin1");
}

/** The first byte of an object that is not its brace and no blank. */
export function skipBrace(bytes: Buffer, start: number): number {
  let at = start;
  while (bytes[at] !== 0x7b) at++;
  at++;
  for (let byte = bytes[at]; byte === 0x20 || byte === 0x09 || byte === 0x0d; byte = bytes[at]) at++;
  return at;
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
