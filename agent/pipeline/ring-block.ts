import type { SyscallEvent } from "#engine";
import { crc32 } from "node:zlib";
import { deserialize, serialize } from "node:v8";

/** An event as the rules saw it. */
export type RingEvent = RingLine | RingCalls;

interface RingLine {
  readonly kind: "line";
  readonly timeMs: number;
  /** Whether no value of an alert over it may be shown. */
  readonly hidesValues: boolean;
  /** What conditions look at, without its line break. */
  readonly seen: Uint8Array;
  /** The same with masks, which alerts are written from; undefined without masks. */
  readonly shown?: Uint8Array;
}

/** Events of the Linux audit log, which are put together from many lines. */
interface RingCalls {
  readonly kind: "calls";
  readonly timeMs: number;
  readonly hidesValues: boolean;
  readonly events: readonly SyscallEvent[];
  /** Whether a mask hides the records that they were made of. */
  readonly isHidden: boolean;
}

const flags = { calls: 1, hidesValues: 2, isHidden: 4 } as const;
/** Flags, time, length of what is seen and of what is shown; 0 for the latter when it is the same. */
const entryHeadBytes = 17;

/** Events in a row, as one block on disk holds them before it is compressed. */
export class RingDraft {
  #bytes: Buffer;
  #length = 0;
  count = 0;
  oldestMs = Number.POSITIVE_INFINITY;
  newestMs = Number.NEGATIVE_INFINITY;

  constructor(bytes: number) {
    this.#bytes = Buffer.allocUnsafeSlow(bytes);
  }

  get length(): number {
    return this.#length;
  }

  get content(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Copies an event. */
  add(event: RingEvent): void {
    const { timeMs } = event;
    const seen = event.kind === "line" ? event.seen : serialize(event.events);
    const shown = event.kind === "line" ? event.shown : undefined;
    const bytes = entryHeadBytes + seen.length + (shown?.length ?? 0);
    this.#grow(bytes);
    const at = this.#length;
    const isHidden = event.kind === "calls" && event.isHidden;
    const flag =
      (event.kind === "calls" ? flags.calls : 0) |
      (event.hidesValues ? flags.hidesValues : 0) |
      (isHidden ? flags.isHidden : 0);
    this.#bytes.writeUInt8(flag, at);
    this.#bytes.writeDoubleBE(timeMs, at + 1);
    this.#bytes.writeUInt32BE(seen.length, at + 9);
    this.#bytes.writeUInt32BE(shown?.length ?? 0, at + 13);
    this.#bytes.set(seen, at + entryHeadBytes);
    if (shown !== undefined) this.#bytes.set(shown, at + entryHeadBytes + seen.length);
    this.#length += bytes;
    this.count += 1;
    this.oldestMs = Math.min(this.oldestMs, timeMs);
    this.newestMs = Math.max(this.newestMs, timeMs);
  }

  #grow(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#length + bytes));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}

/** The events of a block, whose checksum was right. */
export function* readEvents(content: Buffer): Generator<RingEvent> {
  for (let at = 0; at < content.length;) {
    const flag = content.readUInt8(at);
    const timeMs = content.readDoubleBE(at + 1);
    const from = at + entryHeadBytes;
    const between = from + content.readUInt32BE(at + 9);
    const to = between + content.readUInt32BE(at + 13);
    const seen = content.subarray(from, between);
    const hidesValues = (flag & flags.hidesValues) !== 0;
    at = to;
    if ((flag & flags.calls) === 0) {
      const shown = to === between ? {} : { shown: content.subarray(between, to) };
      yield { kind: "line", timeMs, hidesValues, seen, ...shown };
    } else {
      const events = deserialize(seen) as readonly SyscallEvent[];
      yield { kind: "calls", timeMs, hidesValues, events, isHidden: (flag & flags.isHidden) !== 0 };
    }
  }
}

/** What stands before the compressed events of a block. */
export interface BlockHead {
  /** Of the compressed events. */
  readonly length: number;
  /** Of the events. */
  readonly rawLength: number;
  readonly count: number;
  readonly oldestMs: number;
  readonly newestMs: number;
  readonly checksum: number;
}

export const blockHeadBytes = 36;
const magic = 0x46524e31;
/** An event has at most some 12 MiB, twice that with what is shown of it. */
const rawLengthMax = 64 * 1024 * 1024;

/** A block: magic, lengths, count, the times of its oldest and newest event, CRC-32 of all that and of what follows. */
export function encodeBlock(draft: RingDraft, packed: Buffer): Buffer {
  const head = Buffer.allocUnsafe(blockHeadBytes);
  head.writeUInt32BE(magic, 0);
  head.writeUInt32BE(packed.length, 4);
  head.writeUInt32BE(draft.length, 8);
  head.writeUInt32BE(draft.count, 12);
  head.writeDoubleBE(draft.oldestMs, 16);
  head.writeDoubleBE(draft.newestMs, 24);
  head.writeUInt32BE(checksumOf(head, packed), 32);
  return Buffer.concat([head, packed]);
}

/** Undefined when these bytes are no head. */
export function readHead(head: Buffer): BlockHead | undefined {
  if (head.length < blockHeadBytes || head.readUInt32BE(0) !== magic) return undefined;
  const rawLength = head.readUInt32BE(8);
  if (rawLength > rawLengthMax) return undefined;
  return {
    length: head.readUInt32BE(4),
    rawLength,
    count: head.readUInt32BE(12),
    oldestMs: head.readDoubleBE(16),
    newestMs: head.readDoubleBE(24),
    checksum: head.readUInt32BE(32),
  };
}

export function isWhole(head: Buffer, packed: Buffer): boolean {
  return checksumOf(head, packed) === head.readUInt32BE(32);
}

function checksumOf(head: Buffer, packed: Buffer): number {
  return crc32(packed, crc32(head.subarray(0, 32)));
}
