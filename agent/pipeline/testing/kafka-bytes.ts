import { gunzipSync, zstdDecompressSync } from "node:zlib";

/** Reads the primitive types of Kafka's protocol, big endian. */
export class Reader {
  at = 0;
  readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  int8 = (): number => this.bytes.readInt8((this.at += 1) - 1);
  int16 = (): number => this.bytes.readInt16BE((this.at += 2) - 2);
  int32 = (): number => this.bytes.readInt32BE((this.at += 4) - 4);
  uint32 = (): number => this.bytes.readUInt32BE((this.at += 4) - 4);
  int64 = (): bigint => this.bytes.readBigInt64BE((this.at += 8) - 8);

  slice(length: number): Buffer {
    if (length < 0 || this.at + length > this.bytes.length) throw new Error(`${length} bytes are not there`);
    return this.bytes.subarray(this.at, (this.at += length));
  }

  string(): string | undefined {
    const length = this.int16();
    return length < 0 ? undefined : this.slice(length).toString();
  }

  blob(): Buffer {
    return this.slice(this.int32());
  }

  array<T>(read: () => T): T[] {
    return Array.from({ length: Math.max(this.int32(), 0) }, read);
  }

  /** A zigzag varint. */
  varint(): number {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.bytes.readUInt8(this.at++);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return Number((value >> 1n) ^ -(value & 1n));
    }
  }
}

export function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}
export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}
export function int64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes;
}
export function string(text: string | undefined): Buffer {
  if (text === undefined) return int16(-1);
  return Buffer.concat([int16(Buffer.byteLength(text)), Buffer.from(text)]);
}
export function array(items: readonly Buffer[]): Buffer {
  return Buffer.concat([int32(items.length), ...items]);
}

export interface RecordBatch {
  readonly producerId: bigint;
  readonly epoch: number;
  readonly baseSequence: number;
  readonly codec: number;
  readonly messages: readonly {
    readonly key: string | undefined;
    readonly value: string;
    readonly timestampMs: number;
  }[];
}

/** Reads one record batch of format 2; throws on what a broker would call corrupt. */
export function readBatch(bytes: Buffer): RecordBatch {
  const head = new Reader(bytes);
  head.int64();
  const length = head.int32();
  if (length + 12 !== bytes.length) throw new Error(`batch length ${length} in ${bytes.length} bytes`);
  head.int32();
  if (head.int8() !== 2) throw new Error("the batch is not of format 2");
  const sum = head.uint32();
  if (crc32c(bytes.subarray(head.at)) !== sum) throw new Error("the checksum of the batch is wrong");
  const codec = head.int16() & 7;
  const lastDelta = head.int32();
  const base = Number(head.int64());
  head.int64();
  const [producerId, epoch, baseSequence, count] = [head.int64(), head.int16(), head.int32(), head.int32()];
  if (lastDelta !== count - 1) throw new Error(`last offset delta ${lastDelta} with ${count} records`);
  const body = new Reader(unpack(codec, bytes.subarray(head.at)));
  const messages = Array.from({ length: count }, (_, nth) => {
    const end = body.varint() + body.at;
    body.int8();
    const timestampMs = base + body.varint();
    if (body.varint() !== nth) throw new Error("offset deltas are not in order");
    const keyLength = body.varint();
    const key = keyLength < 0 ? undefined : body.slice(keyLength).toString();
    const value = body.slice(body.varint()).toString();
    if (body.varint() !== 0 || body.at !== end) throw new Error("a record does not end where it says");
    return { key, value, timestampMs };
  });
  return { producerId, epoch, baseSequence, codec, messages };
}

function unpack(codec: number, bytes: Buffer): Buffer {
  if (codec === 0) return bytes;
  if (codec === 1) return gunzipSync(bytes);
  if (codec === 4) return zstdDecompressSync(bytes);
  throw new Error(`compression ${codec} is not known to this broker`);
}

/** CRC-32C (Castagnoli), as Kafka sums its batches. */
function crc32c(bytes: Uint8Array): number {
  let sum = 0xffffffff;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0x82f63b78 : sum >>> 1;
  }
  return (sum ^ 0xffffffff) >>> 0;
}
