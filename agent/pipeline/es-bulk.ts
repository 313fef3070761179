import { strftime } from "#shipper";
import type { EsConfig } from "#shipper";
import type { Arena } from "./arena.ts";
import { dotsToUnderscores } from "./dots.ts";
import { scalarText } from "./fields.ts";
import { findValue, stepsOf } from "./json-walk.ts";
import type { Steps } from "./json-walk.ts";
import { braceAt, putShort, putText, putUtf8, skipBrace } from "./put.ts";
import { RecordIds, recordIdBytes } from "./record-id.ts";
import { RecordClock } from "./record-time.ts";
import type { Part, Records } from "./records.ts";
import type { StoredEntry } from "./segment.ts";

/** Elasticsearch takes no longer ids. */
const idBytesMax = 512;
const idKey = Buffer.from(',"_id":"');
/** An index name beside which there is room for a date. */
const prefixLettersMax = 200;

/**
 * Makes the bodies of bulk requests: for each record a line that says what to do with it, and the record with its time in
 * front. Records are copied, never rebuilt.
 */
export class EsBulk {
  readonly #config: EsConfig;
  readonly #ids: RecordIds;
  readonly #clock = new RecordClock();
  readonly #idSteps: Steps | undefined;
  readonly #prefixSteps: Steps | undefined;
  readonly #ownTimeSteps: Steps;
  /** The time key as it stands in a record, but for the quote that begins it. */
  readonly #timeKey: Buffer;
  /** Where the time key stands next in the records themselves. */
  #nextTimeKey = 0;
  /** `{"create":{"_index":"vm"` as it was worked out last, and what for. */
  #head: Buffer = Buffer.alloc(0);
  #headPrefix: string | undefined;
  #headSeconds = -1;
  /** `}}`, the line break, the brace of the record; with the time key; and the tag behind the time. */
  readonly #open: Buffer = Buffer.from("}}\n{");
  readonly #openWithTime: Buffer;
  /** Room for an id, a time and separators beside the record, its head and its tag. */
  readonly #extraBytes: number;
  #tagEntry: StoredEntry | undefined;
  #tag: Buffer = Buffer.alloc(0);

  constructor(config: EsConfig, clusterId: string) {
    const { id, index, timeKey, timeFormat } = config;
    this.#config = config;
    this.#ids = new RecordIds(clusterId);
    this.#idSteps = id.kind === "field" ? stepsOf(id.path) : undefined;
    this.#prefixSteps =
      index.kind === "dated" && index.prefixPath !== undefined ? stepsOf(index.prefixPath) : undefined;
    this.#timeKey = Buffer.from(JSON.stringify(timeKey).slice(1));
    this.#openWithTime = Buffer.from(`}}\n{${JSON.stringify(timeKey)}:"`);
    // No letter of a format makes more than six times what it is with its percent sign.
    this.#extraBytes = idBytesMax * 6 + this.#openWithTime.length + 6 * (timeFormat?.length ?? 0) + 128;
    this.#ownTimeSteps = stepsOf([{ kind: "key", name: timeKey }]);
  }

  /** The body for some records, in the arena. */
  body(records: Records, part: Part, arena: Arena, nowMs: number): Buffer {
    this.#nextTimeKey = -1;
    for (const [from, to] of part) {
      let entry = records.entryOf(from);
      for (let record = from; record < to; record++) {
        while (record >= (records.firsts[entry + 1] ?? Number.POSITIVE_INFINITY)) entry++;
        const stored = records.entries[entry];
        const nth = record - (records.firsts[entry] ?? 0);
        if (stored !== undefined) this.#put(records, record, stored, nth, arena, nowMs);
      }
    }
    return arena.bytes.subarray(0, arena.length);
  }

  #put(
    { bytes, starts, ends }: Records,
    record: number,
    entry: StoredEntry,
    nth: number,
    arena: Arena,
    nowMs: number,
  ): void {
    const start = starts[record] ?? 0;
    const end = ends[record] ?? 0;
    const inner = skipBrace(bytes, start);
    this.#clock.read(bytes, start, end, entry.oldestMs);
    this.#turnHeadTo(bytes, start, nowMs);
    this.#turnTagTo(entry);
    arena.reserve(this.#head.length + this.#extraBytes + this.#tag.length + end - start);
    putShort(arena, this.#head, 0, this.#head.length);
    this.#putId(bytes, start, end, entry, nth, arena);
    if (this.#hasOwnTime(bytes, start, end)) putShort(arena, this.#open, 0, this.#open.length);
    else this.#putTime(bytes, arena);
    if (this.#tag.length > 0) putShort(arena, this.#tag, 0, this.#tag.length);
    const isEmpty = bytes[inner] === 0x7d;
    if (isEmpty && arena.bytes[arena.length - 1] === 0x2c) arena.length--;
    const from = arena.length;
    arena.put(bytes, inner, end);
    if (this.#config.replaceDots) dotsToUnderscores(arena.bytes, from, arena.length);
    arena.putByte(0x0a);
  }

  #turnHeadTo(bytes: Buffer, start: number, nowMs: number): void {
    const { index, operation, type } = this.#config;
    let seconds = 0;
    let prefix = "";
    if (index.kind === "dated") {
      seconds = index.isSendingDay ? Math.floor(nowMs / 1000) : this.#clock.seconds;
      prefix = this.#prefixOf(bytes, start) ?? index.prefix;
    }
    if (seconds === this.#headSeconds && prefix === this.#headPrefix) return;
    this.#headSeconds = seconds;
    this.#headPrefix = prefix;
    const name =
      index.kind === "fixed"
        ? index.name
        : `${prefix}${index.separator}${strftime(index.dateFormat, seconds)}`;
    const typed = type === undefined ? "" : `,"_type":${JSON.stringify(type)}`;
    this.#head = Buffer.from(`{"${operation}":{"_index":${JSON.stringify(name)}${typed}`);
  }

  #prefixOf(bytes: Buffer, start: number): string | undefined {
    if (this.#prefixSteps === undefined) return undefined;
    const text = scalarText(findValue(bytes, braceAt(bytes, start), this.#prefixSteps));
    const name = text
      ?.toLowerCase()
      .replaceAll(/[\s\p{Cc}"*\\<>|,?/#:]/gu, "_")
      .slice(0, prefixLettersMax);
    return name === undefined || name === "" || /^[-_+.]/.test(name) ? undefined : name;
  }

  #putId(bytes: Buffer, start: number, end: number, entry: StoredEntry, nth: number, arena: Arena): void {
    if (this.#idSteps !== undefined) {
      const text = scalarText(findValue(bytes, braceAt(bytes, start), this.#idSteps));
      // A record without an id gets one of the server; a longer one than it takes would refuse all records.
      if (text === undefined || text === "" || Buffer.byteLength(text) > idBytesMax) return;
      putUtf8(arena, `,"_id":${JSON.stringify(text)}`);
      return;
    }
    if (this.#config.id.kind !== "source") return;
    const before = arena.length;
    putShort(arena, idKey, 0, idKey.length);
    if (this.#ids.put(entry, nth, bytes, start, end, arena.bytes, arena.length)) {
      arena.length += recordIdBytes;
      arena.putByte(0x22);
    } else arena.length = before;
  }

  /** A record that has the time key keeps its own: twice the same key would make Elasticsearch refuse it. */
  #hasOwnTime(bytes: Buffer, start: number, end: number): boolean {
    // One search goes over all records, so that it costs next to nothing where there is none.
    if (this.#nextTimeKey < start) {
      const next = bytes.indexOf(this.#timeKey, start);
      this.#nextTimeKey = next === -1 ? Number.POSITIVE_INFINITY : next;
    }
    if (this.#nextTimeKey >= end) return false;
    return findValue(bytes, braceAt(bytes, start), this.#ownTimeSteps) !== undefined;
  }

  #putTime(bytes: Buffer, arena: Arena): void {
    const { seconds, nanos, textStart, textEnd } = this.#clock;
    const { timeFormat } = this.#config;
    putShort(arena, this.#openWithTime, 0, this.#openWithTime.length);
    if (timeFormat !== undefined) putText(arena, `${strftime(timeFormat, seconds)}.${millis(nanos)}Z`);
    else if (textEnd > 0) putShort(arena, bytes, textStart, textEnd);
    else putText(arena, new Date(seconds * 1000 + nanos / 1e6).toISOString());
    arena.putByte(0x22);
    arena.putByte(0x2c);
  }

  #turnTagTo(entry: StoredEntry): void {
    const { tagKey } = this.#config;
    if (tagKey === undefined || this.#tagEntry === entry) return;
    this.#tagEntry = entry;
    this.#tag = Buffer.from(`${JSON.stringify(tagKey)}:${JSON.stringify(entry.tag)},`);
  }
}

function millis(nanos: number): string {
  return String(Math.floor(nanos / 1e6)).padStart(3, "0");
}
