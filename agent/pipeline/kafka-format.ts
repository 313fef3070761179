import type { KafkaConfig } from "#shipper";
import type { Arena } from "./arena.ts";
import { findValue, stepsOf, textOf } from "./json-walk.ts";
import type { Steps } from "./json-walk.ts";
import { putText, skipBrace } from "./put.ts";
import { RecordClock } from "./record-time.ts";
import type { Records } from "./records.ts";

/** One message as it lies in the arena. */
export interface KafkaValue {
  readonly start: number;
  readonly end: number;
  readonly timestampMs: number;
}

/** Room for a key, a time and separators beside the record. */
const timeBytesMax = 64;

/** What of a record becomes what of a message. Records are copied; only the time goes in. */
export class KafkaFormat {
  readonly #config: KafkaConfig;
  readonly #topics: ReadonlySet<string>;
  readonly #topicSteps: Steps | undefined;
  readonly #keySteps: Steps | undefined;
  readonly #fixedKey: Buffer | undefined;
  /** What stands before the time, `{"@timestamp":`, in UTF-8. */
  readonly #timeKey: Buffer | undefined;
  readonly #clock = new RecordClock();

  constructor(config: KafkaConfig) {
    const { topics, topicKey, messageKeyField, messageKey, timestampKey } = config;
    this.#config = config;
    this.#topics = new Set(topics);
    this.#topicSteps = topicKey === undefined ? undefined : stepsOf(topicKey);
    this.#keySteps = messageKeyField === undefined ? undefined : stepsOf(messageKeyField);
    this.#fixedKey = messageKey === undefined ? undefined : Buffer.from(messageKey);
    this.#timeKey = timestampKey === undefined ? undefined : Buffer.from(`{${JSON.stringify(timestampKey)}:`);
  }

  /** The topic that the record names, if it is one of the config; otherwise the first one. */
  topicOf(records: Records, record: number): string {
    const named = this.#topicSteps === undefined ? undefined : textAt(records, record, this.#topicSteps);
    return named !== undefined && this.#topics.has(named) ? named : this.#config.topics[0];
  }

  keyOf(records: Records, record: number): Buffer | undefined {
    const text = this.#keySteps === undefined ? undefined : textAt(records, record, this.#keySteps);
    return text === undefined ? this.#fixedKey : Buffer.from(text);
  }

  /** Appends the record with its time to the arena. */
  put(records: Records, record: number, arena: Arena): KafkaValue {
    const { bytes, starts, ends, entries } = records;
    const [start, end] = [starts[record] ?? 0, ends[record] ?? 0];
    this.#clock.read(bytes, start, end, entries[records.entryOf(record)]?.oldestMs ?? 0);
    const timestampMs = this.#clock.seconds * 1000 + Math.floor(this.#clock.nanos / 1e6);
    arena.reserve(end - start + (this.#timeKey?.length ?? 0) + timeBytesMax);
    const from = arena.length;
    if (this.#timeKey === undefined) arena.put(bytes, start, end);
    else {
      const inner = skipBrace(bytes, start);
      arena.put(this.#timeKey, 0, this.#timeKey.length);
      putText(arena, this.#time());
      if (bytes[inner] !== 0x7d) arena.putByte(0x2c);
      arena.put(bytes, inner, end);
    }
    return { start: from, end: arena.length, timestampMs };
  }

  #time(): string {
    const { seconds, nanos } = this.#clock;
    const digits = String(nanos).padStart(9, "0");
    switch (this.#config.timestampFormat) {
      case "double":
        return `${seconds}.${digits.slice(0, 6)}`;
      case "iso8601":
        return `"${isoSeconds(seconds)}Z"`;
      case "iso8601_ns":
        return `"${isoSeconds(seconds)}.${digits}Z"`;
    }
  }
}

/** The text of a string in a record; what is no string has none. */
function textAt({ bytes, starts }: Records, record: number, steps: Steps): string | undefined {
  let at = starts[record] ?? 0;
  while (bytes[at] !== 0x7b) at++;
  const found = findValue(bytes, at, steps);
  if (found === undefined || bytes[found.start] !== 0x22) return undefined;
  return textOf(bytes, found.start, found.end);
}

function isoSeconds(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(0, 19);
}
