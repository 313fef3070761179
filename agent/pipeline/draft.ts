import type { Arena } from "./arena.ts";
import { equals, findValue, textOf, wholeOf } from "./json-walk.ts";
import type { RecordKey, Steps, Text } from "./json-walk.ts";
import type { RecordScanner } from "./scan.ts";

/** One top-level key with its value, each as it was written. */
export class Member {
  readonly key: Text;
  readonly value: Text;
  /** What the value was before it was masked. */
  readonly clear: Text | undefined;
  /** Whether the key may be written with escapes, so that its bytes are not its name. */
  readonly #isHard: boolean;
  #name: string | undefined;

  constructor(key: Text, isHard: boolean, value: Text, clear: Text | undefined) {
    this.key = key;
    this.value = value;
    this.clear = clear;
    this.#isHard = isHard;
  }

  static of(key: RecordKey, value: Text): Member {
    return new Member(wholeOf(key.json), key.isHard, value, undefined);
  }

  get name(): string {
    return (this.#name ??= textOf(this.key.bytes, this.key.start, this.key.end));
  }

  is(key: RecordKey): boolean {
    const { bytes, start, end } = this.key;
    if (this.#isHard) return key.isAt(bytes, start, end);
    return key.json.length === end - start && equals(bytes, start, key.json);
  }

  withKey(key: RecordKey): Member {
    return new Member(wholeOf(key.json), key.isHard, this.value, this.clear);
  }

  withValue(value: Text, clear: Text | undefined): Member {
    return new Member(this.key, this.#isHard, value, clear);
  }

  withoutMask(): Member {
    return this.clear === undefined ? this : this.withValue(this.clear, undefined);
  }
}

/** Members that are the same for every record, and their text: `"a":"1","b":"2"`. */
export interface Constants {
  readonly members: readonly Member[];
  readonly text: Buffer;
}

/** Keys to look for all at once. */
export class KeySet {
  readonly keys: readonly RecordKey[];
  /** Which lengths they have, so that most keys of a record need no comparison. */
  readonly #lengths = new Uint8Array(256);

  constructor(keys: readonly RecordKey[]) {
    this.keys = keys;
    for (const key of keys) this.#lengths[key.json.length & 0xff] = 1;
  }

  hasLength(length: number): boolean {
    return this.#lengths[length & 0xff] === 1;
  }
}

/**
 * A record on its way through filters. Bytes are never rebuilt: a draft says which stretches of the source, of constants
 * and of new values follow one another. As long as filters only look, or add constants, not even that is written down.
 */
export class Draft {
  /** Grows with each change. */
  changes = 0;
  #source: Buffer = Buffer.alloc(0);
  #start = 0;
  #end = 0;
  #shape: RecordScanner | undefined;
  #members: Member[] | undefined;
  readonly #tails: Constants[] = [];

  /** Begins a record. `shape` has to have scanned exactly these bytes. */
  begin(source: Buffer, start: number, end: number, shape: RecordScanner): void {
    this.changes = 0;
    this.#source = source;
    this.#start = start;
    this.#end = end;
    this.#shape = shape;
    this.#members = undefined;
    this.#tails.length = 0;
  }

  /** Bytes of the record as it was read. */
  get sourceBytes(): number {
    return this.#end - this.#start;
  }

  /** Whether some value is masked. */
  get hasClear(): boolean {
    return this.#members?.some((member) => member.clear !== undefined) === true;
  }

  /** The members as they are now. */
  get members(): readonly Member[] {
    return (this.#members ??= this.#load());
  }

  replace(members: Member[]): void {
    this.#members = members;
    this.changes++;
  }

  append(constants: Constants): void {
    this.changes++;
    if (this.#members === undefined) this.#tails.push(constants);
    else this.#members.push(...constants.members);
  }

  /** Whether the record has one of these keys. */
  hasAny(set: KeySet): boolean {
    const shape = this.#shape;
    if (this.#members !== undefined || shape === undefined || shape.hasEscapedKey) {
      return this.members.some((member) => set.keys.some((key) => member.is(key)));
    }
    const { members, count } = shape;
    for (let index = 0; index < count; index++) {
      const start = members[4 * index] ?? 0;
      const length = (members[4 * index + 1] ?? 0) - start;
      if (!set.hasLength(length)) continue;
      for (const { json } of set.keys) {
        if (json.length === length && equals(this.#source, start, json)) return true;
      }
    }
    return this.#tails.some(({ members }) => members.some((one) => set.keys.some((key) => one.is(key))));
  }

  /** The value that steps lead to. Of a repeated key the last one counts. */
  find(steps: Steps): Text | undefined {
    const [first, ...rest] = steps;
    if (typeof first !== "object") return undefined;
    const top = this.valuesOf(first).at(-1);
    return top === undefined || rest.length === 0 ? top : findValue(top.bytes, top.start, rest);
  }

  /** Appends the record and a newline. */
  write(arena: Arena): void {
    if (this.changes === 0) {
      arena.reserve(this.#end - this.#start + 1);
      arena.put(this.#source, this.#start, this.#end);
    } else if (this.#members === undefined) this.#writeWithTails(arena);
    else writeObject(arena, this.#members);
    arena.putByte(0x0a);
  }

  /** Appends the record as it would be without any mask, and a newline. */
  writeClear(arena: Arena): void {
    const clear = this.members.map((one) => one.withoutMask());
    writeObject(arena, clear);
    arena.putByte(0x0a);
  }

  #writeWithTails(arena: Arena): void {
    const { open = 0, close = 0, count = 0 } = this.#shape ?? {};
    let size = close - open + 3;
    for (const { text } of this.#tails) size += text.length + 1;
    arena.reserve(size);
    arena.put(this.#source, open, close);
    let isFirst = count === 0;
    for (const { text } of this.#tails) {
      if (!isFirst && text.length > 0) arena.putByte(0x2c);
      if (text.length > 0) isFirst = false;
      arena.put(text, 0, text.length);
    }
    arena.putByte(0x7d);
  }

  /** The values of all members with this key. */
  valuesOf(key: RecordKey): readonly Text[] {
    const shape = this.#shape;
    if (this.#members !== undefined || shape === undefined || shape.hasEscapedKey) {
      return this.members.flatMap((member) => (member.is(key) ? [member.value] : []));
    }
    const found: Text[] = [];
    const { members, count } = shape;
    const { json } = key;
    for (let index = 0; index < 4 * count; index += 4) {
      const start = members[index] ?? 0;
      if ((members[index + 1] ?? 0) - start !== json.length) continue;
      if (!equals(this.#source, start, json)) continue;
      found.push({ bytes: this.#source, start: members[index + 2] ?? 0, end: members[index + 3] ?? 0 });
    }
    for (const tail of this.#tails) {
      for (const member of tail.members) if (member.is(key)) found.push(member.value);
    }
    return found;
  }

  #load(): Member[] {
    const { members: at, count } = this.#shape ?? { members: new Int32Array(0), count: 0 };
    const bytes = this.#source;
    const found: Member[] = [];
    const isHard = this.#shape?.hasEscapedKey === true;
    for (let index = 0; index < 4 * count; index += 4) {
      const key = { bytes, start: at[index] ?? 0, end: at[index + 1] ?? 0 };
      const value = { bytes, start: at[index + 2] ?? 0, end: at[index + 3] ?? 0 };
      found.push(new Member(key, isHard, value, undefined));
    }
    for (const { members } of this.#tails) found.push(...members);
    return found;
  }
}

/** Appends members as an object, and has room for a newline. What lies side by side in the same bytes is copied at once. */
export function writeObject(arena: Arena, members: readonly Member[]): void {
  let size = 3;
  for (const { key, value } of members) size += key.end - key.start + value.end - value.start + 2;
  arena.reserve(size);
  arena.putByte(0x7b);
  let isFirst = true;
  let bytes: Buffer | undefined;
  let from = 0;
  let to = 0;
  const add = (text: Text, mark: number): void => {
    if (text.bytes === bytes && text.start === to + 1 && bytes[to] === mark) {
      to = text.end;
      return;
    }
    if (bytes !== undefined) arena.put(bytes, from, to);
    if (!isFirst) arena.putByte(mark);
    bytes = text.bytes;
    from = text.start;
    to = text.end;
  };
  for (const { key, value } of members) {
    add(key, 0x2c);
    isFirst = false;
    add(value, 0x3a);
  }
  if (bytes !== undefined) arena.put(bytes, from, to);
  arena.putByte(0x7d);
}
