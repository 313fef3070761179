import { isUtf8 } from "node:buffer";
import type { ContainerFormat } from "#shipper";
import { JsonText } from "./json-text.ts";
import { repaired, settle } from "./line-parser.ts";
import type { HeldBytes, Line, LineParser, ParserOptions, Piece, RecordSink } from "./line-parser.ts";
import { RecordScanner } from "./scan.ts";

/** A line that a runtime cut, as far as its parts are there. */
interface Cut {
  readonly pieces: Piece[];
  /** Of CRI lines the text as it is; of Docker lines the inside of the JSON string. */
  readonly parts: Buffer[];
  size: number;
  /** Of a CRI line its time; of a Docker line everything up to the text. */
  readonly head: Buffer;
  /** Of a Docker line everything behind the text. */
  readonly tail: Buffer;
}

/** What a CRI line says before its text. */
interface CriHead {
  readonly timeEnd: number;
  readonly stream: "stdout" | "stderr";
  readonly isWhole: boolean;
  readonly textStart: number;
}

/** Lines behind a cut one of the other stream go on; this much further the cut one is given as it is. */
const waitBytesMax = 8 * 1024 * 1024;
const partsMax = 4096;

/**
 * Logs of containers: `TIME stdout|stderr F|P TEXT`, as containerd and CRI-O write them, and Docker's JSON. A runtime cuts
 * lines at 16 KiB; the parts become one record again, stream by stream. What grows over a bound, or gets no further part
 * for a while, is given as it is, in CRI marked as cut, and its rest becomes a record of its own: nothing is dropped.
 */
export class ContainerLines implements LineParser {
  readonly idleMs: number = 5000;
  readonly #accepts: ContainerFormat["accepts"];
  readonly #lineBytesMax: number;
  readonly #held: HeldBytes;
  readonly #keys: Readonly<Record<"time" | "stdout" | "stderr" | "whole" | "cut" | "text" | "end", Buffer>>;
  readonly #open = new Map<string, Cut>();
  readonly #text = new JsonText();
  readonly #scanner = new RecordScanner();

  constructor(format: ContainerFormat, options: ParserOptions) {
    this.#accepts = format.accepts;
    this.#lineBytesMax = options.lineBytesMax;
    this.#held = options.held;
    const flag = (value: string) => Buffer.from(`${JSON.stringify(format.flagKey)}:"${value}",`);
    this.#keys = {
      time: Buffer.from('{"time":"'),
      stdout: Buffer.from('","stream":"stdout",'),
      stderr: Buffer.from('","stream":"stderr",'),
      whole: flag("F"),
      cut: flag("P"),
      text: Buffer.from(`${JSON.stringify(format.textKey)}:"`),
      end: Buffer.from('"}'),
    };
  }

  get isWaiting(): boolean {
    return this.#open.size > 0;
  }

  take(line: Line, sink: RecordSink): boolean {
    if (line.start === line.end) return true;
    if (this.#open.size > 0) this.#giveUpOld(line, sink);
    const isDocker = this.#accepts.includes("docker") && line.bytes[line.start] === 0x7b;
    if (isDocker) return this.#docker(line, sink);
    const head = this.#accepts.includes("cri") ? readHead(line) : undefined;
    if (head !== undefined) return this.#cri(line, head, sink);
    const formats = this.#accepts.join(" or ");
    const why = `the line is no line of a container's log (${formats})`;
    sink.park("not-container-log", why, line.bytes.subarray(line.start, line.end), line);
    return true;
  }

  flush(sink: RecordSink): void {
    for (const name of this.#open.keys()) this.#give(name, false, sink);
  }

  reset(): void {
    for (const cut of this.#open.values()) this.#held.now -= cut.size;
    this.#open.clear();
  }

  timeOf(bytes: Buffer, start: number, end: number): number | undefined {
    let [from, to] = [start, bytes.indexOf(0x20, start)];
    if (bytes[start] === 0x7b) {
      const at = bytes.subarray(start, end).lastIndexOf('"time":"');
      if (at === -1) return undefined;
      from = start + at + 8;
      to = bytes.indexOf(0x22, from);
    }
    if (to === -1 || to > end || to - from > 64) return undefined;
    const ms = Date.parse(bytes.toString("latin1", from, to));
    return Number.isNaN(ms) ? undefined : ms;
  }

  #cri(line: Line, head: CriHead, sink: RecordSink): boolean {
    const { bytes, start, end } = line;
    const name = `cri ${head.stream}`;
    const text = bytes.subarray(head.textStart, end);
    if (head.isWhole && !this.#open.has(name)) {
      this.#emitCri(bytes.subarray(start, head.timeEnd), head.stream, true, text, line, sink);
      return true;
    }
    this.#hold(name, line, text, sink, () => ({
      head: Buffer.from(bytes.subarray(start, head.timeEnd)),
      tail: Buffer.alloc(0),
    }));
    if (head.isWhole || this.#held.now > this.#held.max) this.#give(name, head.isWhole, sink);
    return false;
  }

  #docker(line: Line, sink: RecordSink): boolean {
    const bytes = line.isUtf8 ? line.bytes : repaired(line.bytes, line.start, line.end);
    const [start, end] = line.isUtf8 ? [line.start, line.end] : [0, bytes.length];
    const found = this.#scanner.scan(bytes, start, end) ? this.#members(bytes) : undefined;
    if (found === undefined) {
      // No JSON, or none of Docker's: the sink sets it aside or ships it as the record that it is.
      sink.record(bytes, start, end, line);
      return true;
    }
    const name = `docker ${found.stream}`;
    const isWhole = endsWithNewline(bytes, found.textStart, found.textEnd);
    if (isWhole && !this.#open.has(name)) {
      sink.record(bytes, start, end, line);
      return true;
    }
    const text = bytes.subarray(found.textStart, found.textEnd);
    this.#hold(name, line, text, sink, () => ({
      head: Buffer.from(bytes.subarray(start, found.textStart)),
      tail: Buffer.from(bytes.subarray(found.textEnd, end)),
    }));
    if (isWhole || this.#held.now > this.#held.max) this.#give(name, isWhole, sink);
    return false;
  }

  /** Where the text of the scanned Docker line is, quotes apart, and its stream. */
  #members(bytes: Buffer): { textStart: number; textEnd: number; stream: string } | undefined {
    const { members, count } = this.#scanner;
    let text: { textStart: number; textEnd: number } | undefined;
    let stream = "";
    for (let index = 0; index < count; index++) {
      const [keyStart = 0, keyEnd = 0, start = 0, end = 0] = members.subarray(4 * index, 4 * index + 4);
      const key = bytes.toString("latin1", keyStart + 1, keyEnd - 1);
      if (key === "log" && bytes[start] === 0x22) text = { textStart: start + 1, textEnd: end - 1 };
      if (key === "stream") stream = bytes.toString("latin1", start, Math.min(end, start + 64));
    }
    return text === undefined ? undefined : { ...text, stream };
  }

  /** Keeps a part; what is there already goes first when both were too long together. */
  #hold(
    name: string,
    line: Line,
    text: Buffer,
    sink: RecordSink,
    around: () => Pick<Cut, "head" | "tail">,
  ): void {
    const before = this.#open.get(name);
    const size = before?.size ?? 0;
    const isTooMuch = size + text.length > this.#lineBytesMax || before?.parts.length === partsMax;
    if (isTooMuch) this.#give(name, false, sink);
    const { file, from, to } = line;
    let cut = this.#open.get(name);
    if (cut === undefined) this.#open.set(name, (cut = { pieces: [], parts: [], size: 0, ...around() }));
    cut.pieces.push({ file, from, to });
    cut.parts.push(Buffer.from(text));
    cut.size += text.length;
    this.#held.now += text.length;
  }

  #give(name: string, isWhole: boolean, sink: RecordSink): void {
    const cut = this.#open.get(name);
    const first = cut?.pieces[0];
    if (cut === undefined || first === undefined) return;
    this.#open.delete(name);
    this.#held.now -= cut.size;
    const text = Buffer.concat(cut.parts);
    if (name.startsWith("cri ")) {
      this.#emitCri(cut.head, name === "cri stdout" ? "stdout" : "stderr", isWhole, text, first, sink);
    } else {
      this.#text.reset();
      this.#text.put(cut.head);
      this.#text.put(text);
      this.#text.put(cut.tail);
      sink.record(this.#text.bytes, 0, this.#text.length, first);
    }
    settle(cut.pieces);
  }

  #emitCri(
    time: Buffer,
    stream: CriHead["stream"],
    isWhole: boolean,
    text: Buffer,
    first: Piece,
    sink: RecordSink,
  ): void {
    const json = this.#text;
    const good = isUtf8(text) ? text : repaired(text, 0, text.length);
    json.reset();
    json.put(this.#keys.time);
    json.putEscaped(time, 0, time.length);
    json.put(this.#keys[stream]);
    json.put(isWhole ? this.#keys.whole : this.#keys.cut);
    json.put(this.#keys.text);
    json.putEscaped(good, 0, good.length);
    json.put(this.#keys.end);
    sink.record(json.bytes, 0, json.length, first);
  }

  /** A cut line must not keep the position of a file that others fill: its beginning would come again after a restart. */
  #giveUpOld(line: Line, sink: RecordSink): void {
    for (const [name, cut] of this.#open) {
      const first = cut.pieces[0];
      const begin = first?.file === line.file ? first.from : 0;
      if (line.to - begin > waitBytesMax) this.#give(name, false, sink);
    }
  }
}

const space = 0x20;
const timeLengthMax = 64;

/** `TIME stdout|stderr F|P[:TAG...] TEXT`. */
function readHead({ bytes, start, end }: Line): CriHead | undefined {
  const timeEnd = bytes.indexOf(space, start);
  // Digits, so that a text line that happens to begin with a word is not taken for one.
  if (timeEnd === -1 || timeEnd - start > timeLengthMax || !isDigit(bytes[start])) return undefined;
  const stream = bytes.toString("latin1", timeEnd + 1, timeEnd + 7);
  if (stream !== "stdout" && stream !== "stderr") return undefined;
  if (bytes[timeEnd + 7] !== space || timeEnd + 9 > end) return undefined;
  const flag = bytes[timeEnd + 8];
  if (flag !== 0x46 && flag !== 0x50) return undefined;
  let at = timeEnd + 9;
  if (bytes[at] === 0x3a && at < end) while (at < end && bytes[at] !== space) at++;
  if (at < end && bytes[at] !== space) return undefined;
  return { timeEnd, stream, isWhole: flag === 0x46, textStart: Math.min(at + 1, end) };
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

/** Whether the inside of a JSON string ends with the escape `\n`: an odd number of backslashes before the n. */
function endsWithNewline(bytes: Buffer, start: number, end: number): boolean {
  if (bytes[end - 1] !== 0x6e) return false;
  let at = end - 2;
  while (at >= start && bytes[at] === 0x5c) at--;
  return (end - 2 - at) % 2 === 1;
}
