import { createReadStream } from "node:fs";
import { isAuditRecord } from "#engine";
import { readFileBounded } from "../load-bundle.ts";
import { misused } from "../failure.ts";
import type { Screen } from "../screen.ts";
import { isZipped, plainChunks, unzipped } from "./gzip.ts";
import { splitJsonArray, splitJsonValues } from "./json-values.ts";

/** Files that are no JSON lines are read whole, up to this. */
const documentBytesMax = 64 * 1024 * 1024;
/** A line that does not end within this is no line of events. */
const lineBytesMax = 32 * 1024 * 1024;
/** The detector refuses longer payloads; an array of events may be longer than its events. */
const payloadLengthMax = 4_000_000;

/**
 * Takes a text of events apart into payloads for a detector: lines of JSON (or of an audit log), one document over several
 * lines, or several documents. What is neither stays as lines, for the detector to say what is wrong with them.
 */
export function payloadsOf(text: string): readonly string[] {
  if (!isDocument(text)) return linesOf(text);
  const values = splitJsonValues(text);
  if (values === undefined) return linesOf(text);
  return values.flatMap((value) =>
    value.length > payloadLengthMax ? (splitJsonArray(value) ?? [value]) : [value],
  );
}

/** Takes payloads apart into single events, for commands that look at one at a time. What is none stays whole. */
export function singleEvents(payloads: readonly string[]): readonly string[] {
  return payloads.flatMap((payload): readonly string[] => {
    const elements = splitJsonArray(payload);
    if (elements !== undefined) return singleEvents(elements);
    if (!payload.includes("EventList")) return [payload];
    const list = parsed(payload);
    return list?.kind === "EventList" && Array.isArray(list.items)
      ? list.items.map((item) => JSON.stringify(item))
      : [payload];
  });
}

/** Puts the records of the Linux audit log that belong to one event together; other texts stay alone. */
export function groupRecords(texts: readonly string[]): readonly string[] {
  const groups = Map.groupBy(texts, (text, index) => {
    const id = isAuditRecord(text) ? /msg=audit\(([^)]*)\)/.exec(text)?.[1] : undefined;
    return id ?? index;
  });
  return [...groups.values()].map((records) => records.join("\n"));
}

/** Reads a file of events whole, packed by gzip or not. Throws a failure that names it. */
export async function readText(path: string, screen: Screen): Promise<string> {
  const name = path === "-" ? "standard input" : path;
  const bytes =
    path === "-" ? await screen.readInput(documentBytesMax) : await readFileBounded(path, documentBytesMax);
  if (bytes === undefined) throw misused(`${name} is larger than ${documentBytesMax} bytes`);
  return decode(isZipped(bytes) ? await unzipped(bytes, documentBytesMax, name) : bytes);
}

/** The events of such a file as payloads for a detector. */
export async function readPayloads(path: string, screen: Screen): Promise<readonly string[]> {
  return payloadsOf(await readText(path, screen));
}

/**
 * Whole lines of a file or of standard input (`-`), packed by gzip or not, a block at a time. Throws a failure that names the
 * file.
 */
export async function* streamLines(path: string, screen: Screen): AsyncGenerator<Uint8Array> {
  const name = path === "-" ? "standard input" : path;
  const chunks = path === "-" ? screen.input() : createReadStream(path, { highWaterMark: 256 * 1024 });
  try {
    yield* wholeLines(plainChunks(chunks), name);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === undefined) throw error;
    const next =
      code === "EISDIR" ? `It is a folder: cat ${name}/* | fleetctl ... --events -` : "Check the path.";
    throw misused(`${name} cannot be read (${code})`, next);
  }
}

/**
 * Payloads of a file or of standard input (`-`), a batch at a time, in bounded memory, whatever the form of the file. Throws a
 * failure that names it.
 */
export async function* streamPayloads(path: string, screen: Screen): AsyncGenerator<readonly string[]> {
  let document: string[] | undefined;
  let documentLength = 0;
  let isFirst = true;
  for await (const bytes of streamLines(path, screen)) {
    const text = decode(bytes);
    if (isFirst && !isBlank(text)) {
      isFirst = false;
      if (isDocument(text)) document = [];
    }
    if (document === undefined) {
      yield text.split("\n");
      continue;
    }
    document.push(text);
    documentLength += text.length;
    if (documentLength <= documentBytesMax) continue;
    // Too long to be one document: it is read as lines, which need no memory.
    yield document.flatMap((part) => part.split("\n"));
    document = undefined;
  }
  if (document !== undefined) yield payloadsOf(document.join("\n"));
}

function isBlank(text: string): boolean {
  return !/\S/.test(text);
}

/** The lines that end in each chunk, without the last line break. */
async function* wholeLines(chunks: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<Uint8Array> {
  let rest: Uint8Array[] = [];
  let restBytes = 0;
  for await (const chunk of chunks) {
    const last = chunk.lastIndexOf(10);
    if (last >= 0) {
      const lines = chunk.subarray(0, last);
      yield rest.length === 0 ? lines : Buffer.concat([...rest, lines]);
      rest = [];
      restBytes = 0;
    }
    if (last + 1 < chunk.length) rest.push(chunk.subarray(last + 1));
    restBytes += chunk.length - last - 1;
    if (restBytes > lineBytesMax) {
      throw misused(
        `${name} has a line of more than ${lineBytesMax} bytes`,
        "Give one event, or one list of events, a line.",
      );
    }
  }
  if (restBytes > 0) yield Buffer.concat(rest);
}

function decode(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}

function linesOf(text: string): readonly string[] {
  return text.split("\n").filter((line) => line.trim() !== "");
}

/** Whether the first line starts a JSON value that it does not end. */
function isDocument(text: string): boolean {
  const start = text.search(/\S/);
  if (start < 0 || !"{[".includes(text.charAt(start))) return false;
  const end = text.indexOf("\n", start);
  return splitJsonValues(end < 0 ? text.slice(start) : text.slice(start, end)) === undefined;
}

function parsed(text: string): { kind?: unknown; items?: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    // The detector says what is wrong with it.
    return undefined;
  }
}
