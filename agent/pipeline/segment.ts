import * as fs from "node:fs";
import { crc32 } from "node:zlib";

/** What an output has to deliver in one piece: lines of one tag. */
export interface QueueEntry {
  readonly tag: string;
  /** Lines in the body. */
  readonly count: number;
  /** Event time of the first record, ms since the epoch. */
  readonly oldestMs: number;
  /** Lines, each with its newline. */
  readonly body: Buffer;
}

/** An entry with the place where the next one begins. */
export interface StoredEntry extends QueueEntry {
  readonly end: Position;
}

export interface Position {
  readonly segment: number;
  readonly offset: number;
}

const headBytes = 8;
const metaBytes = 14;
const payloadBytesMax = 256 * 1024 * 1024;

/**
 * One entry on disk: length and CRC-32 of the payload (4 bytes each, big endian), then the payload: count (4), oldest
 * time (8), length of the tag (2), the tag, the lines.
 */
export function encodeEntry(tag: string, count: number, oldestMs: number, body: readonly Buffer[]): Buffer[] {
  const tagBytes = Buffer.from(tag);
  const meta = Buffer.allocUnsafe(headBytes + metaBytes + tagBytes.length);
  meta.writeUInt32BE(count, headBytes);
  meta.writeDoubleBE(oldestMs, headBytes + 4);
  meta.writeUInt16BE(tagBytes.length, headBytes + 12);
  tagBytes.copy(meta, headBytes + metaBytes);
  let length = meta.length - headBytes;
  let sum = crc32(meta.subarray(headBytes));
  for (const part of body) {
    length += part.length;
    sum = crc32(part, sum);
  }
  meta.writeUInt32BE(length, 0);
  meta.writeUInt32BE(sum, 4);
  return [meta, ...body];
}

export type ReadEntry =
  | { readonly kind: "entry"; readonly entry: QueueEntry; readonly next: number }
  | { readonly kind: "end" }
  | { readonly kind: "broken"; readonly why: string };

/** The entry at an offset; `end` when nothing follows, `broken` when what follows is torn or damaged. */
export function readEntry(fd: number, offset: number, size: number): ReadEntry {
  if (offset >= size) return { kind: "end" };
  const head = Buffer.allocUnsafe(headBytes);
  if (fs.readSync(fd, head, 0, headBytes, offset) < headBytes) {
    return { kind: "broken", why: "its head is cut off" };
  }
  const length = head.readUInt32BE(0);
  const end = offset + headBytes + length;
  if (length < metaBytes || length > payloadBytesMax || end > size) {
    return { kind: "broken", why: "its length goes beyond the file" };
  }
  const payload = Buffer.allocUnsafeSlow(length);
  if (fs.readSync(fd, payload, 0, length, offset + headBytes) < length) {
    return { kind: "broken", why: "it is cut off" };
  }
  if (crc32(payload) !== head.readUInt32BE(4)) return { kind: "broken", why: "its checksum is wrong" };
  const tagEnd = metaBytes + payload.readUInt16BE(12);
  const entry: QueueEntry = {
    tag: payload.toString("utf8", metaBytes, tagEnd),
    count: payload.readUInt32BE(0),
    oldestMs: payload.readDoubleBE(4),
    body: payload.subarray(tagEnd),
  };
  return { kind: "entry", entry, next: end };
}
