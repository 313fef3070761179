import type { LokiConfig, LokiLabel } from "#shipper";
import type { Arena } from "./arena.ts";
import { FieldReader, anyText, scalarText } from "./fields.ts";
import { putText } from "./http-format.ts";
import { putEscaped } from "./json-escape.ts";
import type { Text } from "./json-walk.ts";
import { LokiLine } from "./loki-line.ts";
import { RecordClock } from "./record-time.ts";
import type { Part, Records } from "./records.ts";

/** Loki takes 2,048 bytes; nothing that is longer is worth being a label. */
const labelBytesMax = 1024;
const metadataBytesMax = 4096;

type Pair = readonly [name: string, value: string];

/** One entry as it was sent. */
export interface PushedEntry {
  readonly record: number;
  /** Nanoseconds since 1970, 19 digits. */
  readonly time: string;
  readonly lineBytes: number;
}

/** The entries of one set of labels, in the order of their records. */
export interface PushedStream {
  readonly labels: readonly Pair[];
  readonly entries: PushedEntry[];
}

/** Makes the bodies of push requests: records grouped by their labels, each with its own time. */
export class LokiPush {
  readonly #labels: readonly LokiLabel[];
  readonly #metadata: readonly LokiLabel[];
  readonly #labelFields: FieldReader;
  readonly #metadataFields: FieldReader;
  readonly #line: LokiLine;
  readonly #clock = new RecordClock();

  constructor(config: LokiConfig) {
    // In the order in which Loki shows them.
    this.#labels = config.labels.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    this.#metadata = config.metadata;
    this.#labelFields = new FieldReader(pathsOf(this.#labels));
    this.#metadataFields = new FieldReader(pathsOf(this.#metadata));
    this.#line = new LokiLine(config);
  }

  /** Writes the body for some records to the arena and says what is where in it. */
  body(records: Records, part: Part, arena: Arena): readonly PushedStream[] {
    const streams = this.#group(records, part);
    putText(arena, '{"streams":[');
    for (const [index, { labels, entries }] of streams.entries()) {
      const head = `${index === 0 ? "" : ","}{"stream":${JSON.stringify(Object.fromEntries(labels))},"values":[`;
      arena.reserve(3 * head.length);
      arena.length += arena.bytes.write(head, arena.length);
      for (const [nth, { record }] of entries.entries()) {
        entries[nth] = this.#put(records, record, nth === 0, arena);
      }
      arena.reserve(4);
      putText(arena, "]}");
    }
    putText(arena, "]}");
    return streams;
  }

  #group(records: Records, part: Part): readonly PushedStream[] {
    const streams = new Map<string, PushedStream>();
    const isConstant = this.#labels.every((label) => "value" in label);
    const { bytes, starts } = records;
    for (const [from, to] of part) {
      for (let record = from; record < to; record++) {
        // Without fields all records are of one stream.
        const isKnown = isConstant && streams.size > 0;
        const labels = isKnown ? [] : this.#labelsOf(bytes, starts[record] ?? 0);
        const key = isKnown ? "" : isConstant ? "" : JSON.stringify(labels);
        let stream = streams.get(key);
        if (stream === undefined) streams.set(key, (stream = { labels, entries: [] }));
        stream.entries.push({ record, time: "", lineBytes: 0 });
      }
    }
    return [...streams.values()];
  }

  #labelsOf(bytes: Buffer, start: number): readonly Pair[] {
    const values = this.#labelFields.read(bytes, braceAt(bytes, start));
    const pairs = pairsOf(this.#labels, values, scalarText, labelBytesMax);
    // Loki wants at least one, and this is what Fluent Bit gives then.
    return pairs.length === 0 ? [["job", "fluent-bit"]] : pairs;
  }

  #put(records: Records, record: number, isFirst: boolean, arena: Arena): PushedEntry {
    const { bytes, starts, ends } = records;
    const start = starts[record] ?? 0;
    const end = ends[record] ?? 0;
    this.#clock.read(bytes, start, end, records.entries[records.entryOf(record)]?.oldestMs ?? 0);
    const time = `${this.#clock.seconds}${String(this.#clock.nanos).padStart(9, "0")}`.padStart(19, "0");
    arena.reserve(64);
    putText(arena, `${isFirst ? "" : ","}["${time}","`);
    const line = this.#line.isWhole ? undefined : this.#line.make(bytes, braceAt(bytes, start));
    if (line === undefined) putEscaped(arena, bytes, start, end);
    else putEscaped(arena, line, 0, line.length);
    arena.reserve(64);
    arena.putByte(0x22);
    if (this.#metadata.length > 0) this.#putMetadata(bytes, start, arena);
    arena.putByte(0x5d);
    return { record, time, lineBytes: line?.length ?? end - start };
  }

  #putMetadata(bytes: Buffer, start: number, arena: Arena): void {
    const values = this.#metadataFields.read(bytes, braceAt(bytes, start));
    const pairs = pairsOf(this.#metadata, values, anyText, metadataBytesMax);
    if (pairs.length === 0) return;
    const text = `,${JSON.stringify(Object.fromEntries(pairs))}`;
    arena.reserve(3 * text.length + 64);
    arena.length += arena.bytes.write(text, arena.length);
  }
}

function pathsOf(labels: readonly LokiLabel[]) {
  return labels.flatMap((label) => ("path" in label ? [label.path] : []));
}

/** Names with their values; what a record does not have, or has empty, is left out. */
function pairsOf(
  labels: readonly LokiLabel[],
  values: readonly (Text | undefined)[],
  read: (value: Text | undefined) => string | undefined,
  bytesMax: number,
): readonly Pair[] {
  let field = 0;
  return labels.flatMap((label) => {
    const value = "value" in label ? label.value : read(values[field++]);
    return value === undefined || value === "" ? [] : [[label.name, cutText(value, bytesMax)] as const];
  });
}

/** The beginning of a text that has at most so many bytes, cut between letters. */
function cutText(text: string, bytesMax: number): string {
  if (3 * text.length <= bytesMax || Buffer.byteLength(text) <= bytesMax) return text;
  const bytes = Buffer.from(text);
  let end = bytesMax;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString("utf8", 0, end);
}

function braceAt(bytes: Buffer, start: number): number {
  let at = start;
  while (bytes[at] !== 0x7b) at++;
  return at;
}
