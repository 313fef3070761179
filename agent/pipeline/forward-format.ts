import { encode } from "@msgpack/msgpack";
import type { ForwardConfig } from "#shipper";
import type { Arena } from "./arena.ts";
import { reasonOf } from "./files.ts";
import { MsgpackRecord } from "./msgpack-record.ts";
import { RecordClock } from "./record-time.ts";
import type { Part, Records } from "./records.ts";

/** Entries of the Forward protocol, one after the other, as they lie in the arena. */
export interface Entries {
  readonly start: number;
  readonly end: number;
  readonly count: number;
  /** Records, by number, that cannot be written in the protocol. */
  readonly refused: readonly { readonly record: number; readonly why: string }[];
}

/** Writes records as entries: an array of the time and the record. */
export class ForwardFormat {
  readonly #hasNanos: boolean;
  readonly #clock = new RecordClock();

  constructor({ timeAsInteger }: Pick<ForwardConfig, "timeAsInteger">) {
    this.#hasNanos = !timeAsInteger;
  }

  entries(records: Records, part: Part, arena: Arena): Entries {
    const writer = new MsgpackRecord(arena);
    const refused: { record: number; why: string }[] = [];
    const start = arena.length;
    let count = 0;
    for (const [from, to] of part) {
      for (let record = from; record < to; record++) {
        const { bytes, starts, ends, entries } = records;
        const otherwiseMs = entries[records.entryOf(record)]?.oldestMs ?? 0;
        const before = arena.length;
        try {
          this.#clock.read(bytes, starts[record] ?? 0, ends[record] ?? 0, otherwiseMs);
          this.#putTime(arena);
          writer.write(bytes, starts[record] ?? 0, ends[record] ?? 0);
          count++;
        } catch (error) {
          arena.length = before;
          refused.push({ record, why: reasonOf(error) });
        }
      }
    }
    return { start, end: arena.length, count, refused };
  }

  /** The head of the entry, and its time: an extension of type 0 with seconds and nanoseconds, or an integer. */
  #putTime(arena: Arena): void {
    arena.reserve(16);
    const { bytes } = arena;
    const seconds = Math.min(Math.max(this.#clock.seconds, 0), 0xffff_ffff);
    let at = arena.length;
    bytes[at++] = 0x92;
    if (this.#hasNanos) {
      bytes[at++] = 0xd7;
      bytes[at++] = 0x00;
      at = bytes.writeUInt32BE(seconds, at);
      at = bytes.writeUInt32BE(this.#clock.nanos, at);
    } else {
      bytes[at++] = 0xce;
      at = bytes.writeUInt32BE(seconds, at);
    }
    arena.length = at;
  }
}

/** A message in PackedForward mode, or CompressedPackedForward when the entries are compressed. */
export function packMessage(
  tag: string,
  entries: Buffer,
  options: { readonly chunk?: string; readonly size: number; readonly compressed?: "gzip" },
): readonly Buffer[] {
  const binHead = Buffer.alloc(5);
  binHead[0] = 0xc6;
  binHead.writeUInt32BE(entries.length, 1);
  return [Buffer.from([0x93]), Buffer.from(encode(tag)), binHead, entries, Buffer.from(encode(options))];
}
