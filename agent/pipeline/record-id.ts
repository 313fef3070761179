import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { decodePositions } from "./positions.ts";
import type { Positions } from "./positions.ts";
import type { StoredEntry } from "./segment.ts";

/** 64 letters in the order of their codes, so that ids of one file sort as its records stand. */
const letters = Buffer.from("-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz");
const placeBytes = 16;
const offsetLetters = 9;
const checkLetters = 6;
/** Bytes of an id. */
export const recordIdBytes: number = placeBytes + offsetLetters + checkLetters;

/**
 * Ids of records, always the same for the same record: made of the cluster, the content of the file by its first line, the
 * inode, the offset of the line, and a checksum of the record. The place alone is unique; the checksum tells apart what was
 * written at one place of two files that begin alike. What clients may choose, such as the audit id, decides nothing.
 */
export class RecordIds {
  readonly #clusterId: string;
  #entry: StoredEntry | undefined;
  #positions: Positions | undefined;
  #run = -1;
  #runEnd = 0;
  readonly #place: Buffer = Buffer.alloc(placeBytes);

  constructor(clusterId: string) {
    this.#clusterId = clusterId;
  }

  /**
   * Writes the id of the record of an entry, which lies in `bytes` from `start` to `end`, to `target`, where there has to be
   * room. False when nobody knows where the record stood.
   */
  put(
    entry: StoredEntry,
    nth: number,
    bytes: Buffer,
    start: number,
    end: number,
    target: Buffer,
    at: number,
  ): boolean {
    if (entry !== this.#entry) {
      this.#entry = entry;
      this.#positions = decodePositions(entry.positions, entry.count);
      this.#runEnd = 0;
      this.#run = -1;
    }
    const positions = this.#positions;
    if (positions === undefined) return false;
    if (nth >= this.#runEnd || nth < (positions.runs[this.#run]?.from ?? 0)) {
      this.#turnTo(positions, nth, entry.count);
    }
    this.#place.copy(target, at);
    putNumber(target, at + placeBytes, offsetLetters, positions.offsets[nth] ?? 0);
    putNumber(target, at + placeBytes + offsetLetters, checkLetters, crc32(bytes.subarray(start, end)));
    return true;
  }

  #turnTo({ runs }: Positions, nth: number, count: number): void {
    this.#run = runs.findLastIndex(({ from }) => from <= nth);
    this.#runEnd = runs[this.#run + 1]?.from ?? count;
    const { origin, inode } = runs[this.#run] ?? { origin: "", inode: 0 };
    const named = JSON.stringify([this.#clusterId, origin, inode]);
    this.#place.write(createHash("sha256").update(named).digest("base64url").slice(0, placeBytes), "latin1");
  }
}

function putNumber(target: Buffer, at: number, count: number, value: number): void {
  let rest = value;
  for (let index = at + count - 1; index >= at; index--) {
    const next = Math.floor(rest / 64);
    target[index] = letters[rest - next * 64] ?? 0;
    rest = next;
  }
}
