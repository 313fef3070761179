import { JsonText } from "./json-text.ts";
import { repaired } from "./line-parser.ts";
import type { Line, LineParser, RecordSink } from "./line-parser.ts";

/** A line is a record. */
export class JsonLines implements LineParser {
  readonly isWaiting: boolean = false;
  readonly idleMs: number = 0;

  take(line: Line, sink: RecordSink): boolean {
    const { bytes, start, end } = line;
    if (isBlank(bytes, start, end)) return true;
    if (line.isUtf8) sink.record(bytes, start, end, line);
    else {
      const text = repaired(bytes, start, end);
      sink.record(text, 0, text.length, line);
    }
    return true;
  }

  flush(): void {}
  reset(): void {}

  timeOf(bytes: Buffer, start: number, end: number): number | undefined {
    return auditEventTime(bytes.subarray(start, end));
  }
}

/** A line becomes the value of a key. */
export class TextLines implements LineParser {
  readonly isWaiting: boolean = false;
  readonly idleMs: number = 0;
  readonly #before: Buffer;
  readonly #skipEmpty: boolean;
  readonly #text = new JsonText();

  constructor(key: string, skipEmpty: boolean) {
    this.#before = Buffer.from(`{${JSON.stringify(key)}:"`);
    this.#skipEmpty = skipEmpty;
  }

  take(line: Line, sink: RecordSink): boolean {
    if (line.start === line.end && this.#skipEmpty) return true;
    this.#text.reset();
    this.#text.put(this.#before);
    if (line.isUtf8) this.#text.putEscaped(line.bytes, line.start, line.end);
    else {
      const text = repaired(line.bytes, line.start, line.end);
      this.#text.putEscaped(text, 0, text.length);
    }
    this.#text.put(after);
    sink.record(this.#text.bytes, 0, this.#text.length, line);
    return true;
  }

  flush(): void {}
  reset(): void {}

  timeOf(): undefined {
    return undefined;
  }
}

const after = Buffer.from('"}');

export function isBlank(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const byte = bytes[at];
    if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d) return false;
  }
  return true;
}

const timeKeys = ['"stageTimestamp":"', '"requestReceivedTimestamp":"'].map((key) => Buffer.from(key));

/** The time that an audit event gives. */
export function auditEventTime(line: Buffer): number | undefined {
  for (const key of timeKeys) {
    const at = line.lastIndexOf(key);
    if (at === -1) continue;
    const ms = Date.parse(line.toString("latin1", at + key.length, line.indexOf(0x22, at + key.length)));
    if (!Number.isNaN(ms)) return ms;
  }
  return undefined;
}

/** Whether a line looks like a piece of JSON that was written for people, over several lines. */
export function isPieceOfJson(line: Buffer): boolean {
  const text = line.toString("utf8", 0, Math.min(line.length, 4096)).trim();
  if (/^[{}[\]],?$/.test(text)) return true;
  return line.length <= 4096 && /^(?:"(?:[^"\\]|\\.)*"\s*:|[{[].*[{[,]$)/.test(text);
}
