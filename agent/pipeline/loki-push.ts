import type { FieldPath, LokiConfig, LokiLabel } from "#shipper";
import { Arena } from "./arena.ts";
import { FieldReader, anyText, scalarText } from "./fields.ts";
import { putEscaped } from "./json-escape.ts";
import type { Text } from "./json-walk.ts";
import { LokiLine } from "./loki-line.ts";
import { putText, putUtf8 } from "./put.ts";
import { RecordClock } from "./record-time.ts";
import type { Part, Records } from "./records.ts";
import { RecordScanner } from "./scan.ts";

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

/** An entry that is written, and where. */
interface Written extends PushedEntry {
  readonly from: number;
  readonly to: number;
}

/** The entries of one set of labels, in the order of their records. */
export interface PushedStream {
  readonly labels: readonly Pair[];
  readonly entries: readonly PushedEntry[];
}

interface Stream extends PushedStream {
  readonly entries: Written[];
}

/** Makes the bodies of push requests: records grouped by their labels, each with its own time. */
export class LokiPush {
  readonly #labels: readonly LokiLabel[];
  readonly #metadata: readonly LokiLabel[];
  readonly #labelFields: FieldReader;
  readonly #metadataFields: FieldReader;
  readonly #line: LokiLine;
  /** Whether records have to be looked into. */
  readonly #hasFields: boolean;
  readonly #clock = new RecordClock();
  readonly #scanner = new RecordScanner();
  #entries = new Arena();

  constructor(config: LokiConfig) {
    // In the order in which Loki shows them.
    this.#labels = config.labels.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    this.#metadata = config.metadata;
    this.#labelFields = new FieldReader(pathsOf(this.#labels));
    this.#metadataFields = new FieldReader(pathsOf(this.#metadata));
    this.#line = new LokiLine(config);
    this.#hasFields = !this.#labelFields.isEmpty || !this.#metadataFields.isEmpty || !this.#line.isWhole;
  }

  /** Writes the body for some records to the arena and says what is in it. */
  body(records: Records, part: Part, arena: Arena): readonly PushedStream[] {
    // Entries are written one after the other, then copied to their streams.
    if (this.#entries.bytes.length > arena.bytes.length * 4) this.#entries = new Arena();
    this.#entries.reset();
    const streams = this.#group(records, part);
    const { bytes } = this.#entries;
    putUtf8(arena, '{"streams":[');
    for (const [index, { labels, entries }] of streams.entries()) {
      const head = JSON.stringify(Object.fromEntries(labels));
      putUtf8(arena, `${index === 0 ? "" : ","}{"stream":${head},"values":[`);
      for (let nth = 0; nth < entries.length; nth++) {
        const { from, to } = entries[nth] ?? { from: 0, to: 0 };
        arena.reserve(to - from + 4);
        arena.put(bytes, from, to);
        if (nth < entries.length - 1) arena.putByte(0x2c);
      }
      putText(arena, "]}");
    }
    putUtf8(arena, "]}");
    return streams;
  }

  #group(records: Records, part: Part): readonly Stream[] {
    const streams = new Map<string, Stream>();
    // Without fields all records are of one stream.
    const constant = this.#labelFields.isEmpty ? this.#labelsOf(records.bytes) : undefined;
    const { bytes, starts, ends, entries } = records;
    for (const [from, to] of part) {
      for (let record = from; record < to; record++) {
        const start = starts[record] ?? 0;
        const end = ends[record] ?? 0;
        if (this.#hasFields) this.#scanner.scan(bytes, start, end);
        const labels = constant ?? this.#labelsOf(bytes);
        const key = constant === undefined ? keyOf(labels) : "";
        let stream = streams.get(key);
        if (stream === undefined) streams.set(key, (stream = { labels, entries: [] }));
        this.#clock.read(bytes, start, end, entries[records.entryOf(record)]?.oldestMs ?? 0);
        stream.entries.push(this.#put(bytes, record, start, end));
      }
    }
    return [...streams.values()];
  }

  #labelsOf(bytes: Buffer): readonly Pair[] {
    const values = this.#labelFields.isEmpty ? [] : this.#labelFields.read(bytes, this.#scanner);
    const pairs = pairsOf(this.#labels, values, scalarText, labelBytesMax);
    // Loki wants at least one, and this is what Fluent Bit gives then.
    return pairs.length === 0 ? [["job", "fluent-bit"]] : pairs;
  }

  /** `["1795343481123456000","the line",{"metadata":"of it"}]` */
  #put(bytes: Buffer, record: number, start: number, end: number): Written {
    const { seconds, nanos } = this.#clock;
    const time = `${seconds}${String(nanos).padStart(9, "0")}`.padStart(19, "0");
    const arena = this.#entries;
    const from = arena.length;
    arena.reserve(64);
    putText(arena, `["${time}","`);
    const line = this.#line.isWhole ? undefined : this.#line.make(bytes, this.#scanner);
    if (line === undefined) putEscaped(arena, bytes, start, end);
    else putEscaped(arena, line, 0, line.length);
    putUtf8(arena, `"${this.#metadataOf(bytes)}]`);
    return { record, time, lineBytes: line?.length ?? end - start, from, to: arena.length };
  }

  #metadataOf(bytes: Buffer): string {
    if (this.#metadata.length === 0) return "";
    const values = this.#metadataFields.isEmpty ? [] : this.#metadataFields.read(bytes, this.#scanner);
    const pairs = pairsOf(this.#metadata, values, anyText, metadataBytesMax);
    return pairs.length === 0 ? "" : `,${JSON.stringify(Object.fromEntries(pairs))}`;
  }
}

/** The same for the same labels only, whatever letters are in their values. */
function keyOf(labels: readonly Pair[]): string {
  let key = "";
  for (const [name, value] of labels) key += `${name}=${value.length}:${value}`;
  return key;
}

function pathsOf(labels: readonly LokiLabel[]): readonly FieldPath[] {
  return labels.flatMap((label) => ("path" in label ? [label.path] : []));
}

/** Names with their values; what a record does not have, or has empty, is left out. */
function pairsOf(
  labels: readonly LokiLabel[],
  values: readonly (Text | undefined)[],
  read: (value: Text | undefined) => string | undefined,
  bytesMax: number,
): readonly Pair[] {
  const pairs: Pair[] = [];
  let field = 0;
  for (const label of labels) {
    const value = "value" in label ? label.value : read(values[field++]);
    if (value !== undefined && value !== "") pairs.push([label.name, cutText(value, bytesMax)]);
  }
  return pairs;
}

/** The beginning of a text that has at most so many bytes, cut between letters. */
function cutText(text: string, bytesMax: number): string {
  if (3 * text.length <= bytesMax || Buffer.byteLength(text) <= bytesMax) return text;
  const bytes = Buffer.from(text);
  let end = bytesMax;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString("utf8", 0, end);
}
