import * as fs from "node:fs";
import { crc32 } from "node:zlib";

/** What an output is given to deliver in one piece: lines of one tag. */
export interface NewEntry {
  readonly tag: string;
  /** Lines in the body. */
  readonly count: number;
  /** Event time of the first record, ms since the epoch. */
  readonly oldestMs: number;
  /** Lines, each with its newline, in as many pieces as there are. */
  readonly body: readonly Buffer[];
  /** Where the records stood: see positions.ts. Empty for outputs that do not ask. */
  readonly positions?: Buffer;
}

/** The same as it comes back from the queue. */
export interface QueueEntry {
  readonly tag: string;
  readonly count: number;
  readonly oldestMs: number;
  /** Valid until the queue is asked for more. */
  readonly body: Buffer;
  readonly positions: Buffer;
}

/** An entry with its place in the queue. */
export interface StoredEntry extends QueueEntry {
  readonly segment: number;
  readonly sequence: number;
  /** Where the next one begins. */
  readonly end: number;
}

const headBytes = 8;
const metaBytes = 24;
const payloadBytesMax = 256 * 1024 * 1024;

/**
 * One entry on disk: length and CRC-32 of the payload (4 bytes each, big endian), then the payload: sequence (6), count
 * (4), oldest time (8), length of the tag (2) and of the positions (4), the tag, the positions, the lines. Entries of one
 * file count up without a gap, so that what is left of an earlier use of the file is told from what follows.
 */
export function encodeEntry(entry: NewEntry, sequence: number): Buffer[] {
  const { tag, count, oldestMs, body, positions } = entry;
  const tagBytes = Buffer.from(tag);
  const placesBytes = positions?.length ?? 0;
  const meta = Buffer.allocUnsafe(headBytes + metaBytes + tagBytes.length + placesBytes);
  meta.writeUIntBE(sequence, headBytes, 6);
  meta.writeUInt32BE(count, headBytes + 6);
  meta.writeDoubleBE(oldestMs, headBytes + 10);
  meta.writeUInt16BE(tagBytes.length, headBytes + 18);
  meta.writeUInt32BE(placesBytes, headBytes + 20);
  tagBytes.copy(meta, headBytes + metaBytes);
  positions?.copy(meta, headBytes + metaBytes + tagBytes.length);
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

export interface Broken {
  readonly kind: "broken";
  readonly why: string;
}

/** The size and the first figures of an entry, of which nothing is checked but the length. */
export interface Measure {
  readonly kind: "entry";
  readonly offset: number;
  /** Bytes of the payload. */
  readonly length: number;
  readonly checksum: number;
  readonly sequence: number;
  readonly count: number;
  readonly oldestMs: number;
  /** Where the next entry begins. */
  readonly next: number;
}

const first = Buffer.alloc(headBytes + metaBytes);

/** How large the entry at an offset is; `end` when nothing follows, `broken` when what follows is torn or damaged. */
export function measureEntry(
  fd: number,
  offset: number,
  size: number,
): Measure | Broken | { readonly kind: "end" } {
  if (offset >= size) return { kind: "end" };
  if (fs.readSync(fd, first, 0, first.length, offset) < first.length) {
    return { kind: "broken", why: "its head is cut off" };
  }
  const length = first.readUInt32BE(0);
  const next = offset + headBytes + length;
  if (length < metaBytes || length > payloadBytesMax || next > size) {
    return { kind: "broken", why: "its length goes beyond the file" };
  }
  return {
    kind: "entry",
    offset,
    length,
    checksum: first.readUInt32BE(4),
    sequence: first.readUIntBE(headBytes, 6),
    count: first.readUInt32BE(headBytes + 6),
    oldestMs: first.readDoubleBE(headBytes + 10),
    next,
  };
}

/**
 * Reads a measured entry into `target` at `at`, where there has to be room for its payload. What this process wrote a moment
 * ago is not summed up again.
 */
export function loadEntry(
  fd: number,
  { offset, length, checksum }: Measure,
  target: Buffer,
  at: number,
  isFresh: boolean = false,
): QueueEntry | Broken {
  if (fs.readSync(fd, target, at, length, offset + headBytes) < length) {
    return { kind: "broken", why: "it is cut off" };
  }
  const payload = target.subarray(at, at + length);
  if (!isFresh && crc32(payload) !== checksum) return { kind: "broken", why: "its checksum is wrong" };
  const tagEnd = metaBytes + payload.readUInt16BE(18);
  const placesEnd = tagEnd + payload.readUInt32BE(20);
  return {
    tag: payload.toString("utf8", metaBytes, tagEnd),
    count: payload.readUInt32BE(6),
    oldestMs: payload.readDoubleBE(10),
    positions: payload.subarray(tagEnd, placesEnd),
    body: payload.subarray(placesEnd),
  };
}
