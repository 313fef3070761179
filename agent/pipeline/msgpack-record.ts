import type { Arena } from "./arena.ts";

const quote = 0x22;
const backslash = 0x5c;
const depthMax = 512;
/** Shorter strings are copied byte by byte, which is faster than a call. */
const shortMax = 48;

/**
 * Writes the JSON text of a record as MessagePack, in one pass over its bytes: strings without escapes are copied, whole
 * numbers keep all of their digits up to 64 bits, keys keep their order. The text has to be valid JSON.
 */
export class MsgpackRecord {
  readonly #arena: Arena;
  #source: Buffer = Buffer.alloc(0);
  #at = 0;

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  /** Appends the value from `start` to `end` to the arena. Throws on what is too deep. */
  write(source: Buffer, start: number, end: number): void {
    // At worst `1e5,` becomes a double of nine bytes.
    this.#arena.reserve((end - start) * 3 + 16);
    this.#source = source;
    this.#at = start;
    this.#value(0);
  }

  #value(depth: number): void {
    const byte = this.#skipBlanks();
    switch (byte) {
      case quote:
        return this.#string();
      case 0x7b:
        return this.#collection(depth, true);
      case 0x5b:
        return this.#collection(depth, false);
      case 0x74:
        this.#at += 4;
        return this.#arena.putByte(0xc3);
      case 0x66:
        this.#at += 5;
        return this.#arena.putByte(0xc2);
      case 0x6e:
        this.#at += 4;
        return this.#arena.putByte(0xc0);
      default:
        return this.#number();
    }
  }

  /** The head is one byte until the count is known; what does not fit then is moved. */
  #collection(depth: number, isMap: boolean): void {
    if (depth >= depthMax) throw new Error(`it is nested more than ${depthMax} levels deep`);
    const close = isMap ? 0x7d : 0x5d;
    const head = this.#arena.length;
    this.#arena.putByte(0);
    this.#at++;
    let count = 0;
    while (this.#skipBlanks() !== close) {
      if (count > 0) {
        this.#at++;
        this.#skipBlanks();
      }
      if (isMap) {
        this.#string();
        this.#skipBlanks();
        this.#at++;
      }
      this.#value(depth + 1);
      count++;
    }
    this.#at++;
    this.#putHead(head, count, isMap);
  }

  #putHead(head: number, count: number, isMap: boolean): void {
    const arena = this.#arena;
    if (count < 16) {
      arena.bytes[head] = (isMap ? 0x80 : 0x90) | count;
      return;
    }
    const size = count < 65_536 ? 2 : 4;
    arena.bytes.copyWithin(head + 1 + size, head + 1, arena.length);
    arena.length += size;
    arena.bytes[head] = (isMap ? 0xde : 0xdc) + (size === 2 ? 0 : 1);
    arena.bytes.writeUIntBE(count, head + 1, size);
  }

  #string(): void {
    const source = this.#source;
    const start = this.#at + 1;
    let end = start;
    let byte = source[end];
    while (byte !== quote && byte !== backslash) byte = source[++end];
    if (byte === quote) {
      this.#at = end + 1;
      return this.#putString(source, start, end);
    }
    while (source[end] !== quote) end += source[end] === backslash ? 2 : 1;
    this.#at = end + 1;
    const text = Buffer.from(JSON.parse(source.toString("utf8", start - 1, end + 1)) as string);
    return this.#putString(text, 0, text.length);
  }

  #putString(source: Buffer, start: number, end: number): void {
    const arena = this.#arena;
    const length = end - start;
    if (length < 32) arena.putByte(0xa0 | length);
    else if (length < 256) {
      arena.putByte(0xd9);
      arena.putByte(length);
    } else this.#putSized(length < 65_536 ? 0xda : 0xdb, length, length < 65_536 ? 2 : 4);
    if (length > shortMax) return arena.put(source, start, end);
    const target = arena.bytes;
    let at = arena.length;
    for (let from = start; from < end; from++) target[at++] = source[from] ?? 0;
    arena.length = at;
  }

  #number(): void {
    const source = this.#source;
    const start = this.#at;
    let at = start;
    let isWhole = true;
    for (; ; at++) {
      const byte = source[at] ?? 0;
      if ((byte >= 0x30 && byte <= 0x39) || byte === 0x2d) continue;
      if (byte !== 0x2e && byte !== 0x65 && byte !== 0x45 && byte !== 0x2b) break;
      isWhole = false;
    }
    if (at === start) throw new Error(`it holds no JSON value at byte ${start}`);
    this.#at = at;
    const text = source.toString("latin1", start, at);
    const value = Number(text);
    if (isWhole && Number.isSafeInteger(value)) this.#putInteger(value);
    else if (!isWhole || !this.#putLong(text)) this.#putFloat(value);
  }

  #putInteger(value: number): void {
    const arena = this.#arena;
    if (value >= 0) {
      if (value < 0x80) arena.putByte(value);
      else if (value < 0x100) this.#putSized(0xcc, value, 1);
      else if (value < 0x10000) this.#putSized(0xcd, value, 2);
      else if (value < 0x1_0000_0000) this.#putSized(0xce, value, 4);
      else this.#putLongBytes(0xcf, BigInt(value));
    } else if (value >= -0x20) arena.putByte(value & 0xff);
    else if (value >= -0x80) this.#putSized(0xd0, value & 0xff, 1);
    else if (value >= -0x8000) this.#putSized(0xd1, value & 0xffff, 2);
    else if (value >= -0x8000_0000) this.#putSized(0xd2, value >>> 0, 4);
    else this.#putLongBytes(0xd3, BigInt.asUintN(64, BigInt(value)));
  }

  /** A whole number beyond what a double holds; false when 64 bits do not hold it either. */
  #putLong(text: string): boolean {
    const value = BigInt(text);
    if (value >= 0n && value < 1n << 64n) this.#putLongBytes(0xcf, value);
    else if (value < 0n && value >= -(1n << 63n)) this.#putLongBytes(0xd3, BigInt.asUintN(64, value));
    else return false;
    return true;
  }

  #putFloat(value: number): void {
    const arena = this.#arena;
    arena.putByte(0xcb);
    arena.length = arena.bytes.writeDoubleBE(value, arena.length);
  }

  #putLongBytes(type: number, value: bigint): void {
    const arena = this.#arena;
    arena.putByte(type);
    arena.length = arena.bytes.writeBigUInt64BE(value, arena.length);
  }

  #putSized(type: number, value: number, size: number): void {
    const arena = this.#arena;
    arena.putByte(type);
    arena.length = arena.bytes.writeUIntBE(value, arena.length, size);
  }

  #skipBlanks(): number {
    let byte = this.#source[this.#at] ?? 0;
    while (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) {
      byte = this.#source[++this.#at] ?? 0;
    }
    return byte;
  }
}
