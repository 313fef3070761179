import * as fs from "node:fs";
import { join } from "node:path";
import type { ParkedLine } from "./dead-letter.ts";
import { codeOf, syncData, syncFolder } from "./files.ts";

/** Which entry of which dead letter file. Files only grow, so that it means the same for as long as the file is there. */
export interface ParkedRef {
  readonly file: string;
  readonly offset: number;
  /** Bytes of the entry, its newline included. */
  readonly length: number;
}

/** What an entry holds: the text, the bytes of what is not UTF-8, or the name of a file beside it. */
export interface ParkedEntry extends ParkedLine {
  readonly at: string;
  readonly line?: string;
  readonly base64?: string;
  readonly file?: string;
}

export interface Parked {
  readonly ref: ParkedRef;
  /** Undefined when it cannot be read. */
  readonly entry: ParkedEntry | undefined;
}

const parkedName = /^parked-\d{10,}\.jsonl$/;
const marksSuffix = ".replayed";

export function isParkedFile(name: string): boolean {
  return parkedName.test(name);
}

export function isMarksFile(name: string): boolean {
  return name.endsWith(marksSuffix) && isParkedFile(name.slice(0, -marksSuffix.length));
}

/** Names of dead letter files, the oldest first. */
export function listParkedFiles(dir: string): string[] {
  try {
    return fs.readdirSync(dir).filter(isParkedFile).sort();
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw error;
  }
}

/** The whole entries of a file; one that is being written at this moment is left out. */
export function readParkedFile(dir: string, file: string): Parked[] {
  const found: Parked[] = [];
  const bytes = fs.readFileSync(join(dir, file));
  for (let offset = 0; ;) {
    const newline = bytes.indexOf(0x0a, offset);
    if (newline === -1) return found;
    const ref = { file, offset, length: newline + 1 - offset };
    found.push({ ref, entry: parseEntry(bytes.subarray(offset, newline)) });
    offset = newline + 1;
  }
}

/** One entry, undefined when it is not there any more or no entry begins and ends there. */
export function readParked(dir: string, ref: ParkedRef): ParkedEntry | undefined {
  if (!isParkedFile(ref.file) || ref.length < 2 || ref.length > 256 * 1024 * 1024) return undefined;
  let fd: number;
  try {
    fd = fs.openSync(join(dir, ref.file), "r");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
  try {
    const bytes = Buffer.alloc(ref.length);
    const read = fs.readSync(fd, bytes, 0, bytes.length, ref.offset);
    const isWhole = read === ref.length && bytes.indexOf(0x0a) === ref.length - 1;
    return isWhole ? parseEntry(bytes.subarray(0, -1)) : undefined;
  } finally {
    fs.closeSync(fd);
  }
}

/** The bytes that were set aside, or why they cannot be had. */
export function bytesOf(
  dir: string,
  entry: ParkedEntry,
  bytesMax: number,
): Buffer | { readonly why: string } {
  if (entry.line !== undefined) return Buffer.from(entry.line);
  if (entry.base64 !== undefined) return Buffer.from(entry.base64, "base64");
  const gone = { why: "its line is not in the dead letter folder any more" };
  if (entry.file === undefined || !/^[\w.-]+$/.test(entry.file)) return gone;
  const path = join(dir, entry.file);
  try {
    const { size } = fs.statSync(path);
    return size > bytesMax ? { why: `it has ${size} bytes, more than ${bytesMax}` } : fs.readFileSync(path);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return gone;
    throw error;
  }
}

export function marksPath(dir: string, file: string): string {
  return join(dir, `${file}${marksSuffix}`);
}

/** Offsets of the entries of a file that were replayed. */
export function readMarks(dir: string, file: string): Set<number> {
  let text: string;
  try {
    text = fs.readFileSync(marksPath(dir, file), "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return new Set();
    throw error;
  }
  // A line that a crash cut counts for nothing: its entry is replayed once more.
  const lines = text.slice(0, text.lastIndexOf("\n") + 1).split("\n");
  return new Set(lines.filter((line) => /^\d+$/.test(line)).map(Number));
}

/** Notes entries of a file as replayed, durably. */
export async function addMarks(dir: string, file: string, offsets: readonly number[]): Promise<void> {
  const path = marksPath(dir, file);
  const isNew = !fs.existsSync(path);
  const fd = fs.openSync(path, "a", 0o600);
  try {
    // On a line of its own, whatever a crash left before it.
    fs.writeSync(fd, `\n${offsets.join("\n")}\n`);
    await syncData(fd);
  } finally {
    fs.closeSync(fd);
  }
  if (isNew) await syncFolder(dir);
}

function parseEntry(bytes: Buffer): ParkedEntry | undefined {
  let value: Partial<Record<keyof ParkedEntry, unknown>> | null;
  try {
    value = JSON.parse(bytes.toString()) as typeof value;
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const isText = (one: unknown) => one === undefined || typeof one === "string";
  const { at, reason, tag, output, line, base64, file } = value;
  const isEntry = [at, reason, tag].every((one) => typeof one === "string");
  return isEntry && [output, line, base64, file].every(isText) ? (value as ParkedEntry) : undefined;
}
