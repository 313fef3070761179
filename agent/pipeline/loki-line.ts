import type { FieldPath, LokiConfig } from "#shipper";
import { Arena } from "./arena.ts";
import { eachChild, textOf } from "./json-walk.ts";

/** Keys to leave out: a whole value, or what lies deeper in it. */
type Removal = ReadonlyMap<string, "all" | Removal>;

interface Member {
  readonly keyStart: number;
  readonly keyEnd: number;
  readonly start: number;
  readonly end: number;
  /** What is left out of the value. */
  readonly less: Removal | undefined;
}

/** Makes the log lines of records: what is removed is left out, the rest is copied. */
export class LokiLine {
  readonly #removal: Removal;
  readonly #format: LokiConfig["lineFormat"];
  readonly #dropSingleKey: LokiConfig["dropSingleKey"];
  readonly #line = new Arena();

  constructor({
    removed,
    lineFormat,
    dropSingleKey,
  }: Pick<LokiConfig, "removed" | "lineFormat" | "dropSingleKey">) {
    this.#removal = removalOf(removed.map(namesOf).filter((names) => names.length > 0));
    this.#format = lineFormat;
    this.#dropSingleKey = dropSingleKey;
  }

  /** Whether a record is its own line, so that `make` need not be called. */
  get isWhole(): boolean {
    return this.#removal.size === 0 && this.#format === "json" && this.#dropSingleKey === "off";
  }

  /** The line of the object at `at`; valid until the next call. */
  make(bytes: Buffer, at: number): Buffer {
    const line = this.#line;
    line.reset();
    const members = membersOf(bytes, at, this.#removal);
    const [only] = members;
    if (this.#dropSingleKey !== "off" && only !== undefined && members.length === 1) {
      this.#putOnly(bytes, only);
    } else if (this.#format === "json") putObject(line, bytes, members);
    else this.#putPairs(bytes, members);
    return line.bytes.subarray(0, line.length);
  }

  #putOnly(bytes: Buffer, only: Member): void {
    const isBare = this.#format === "key_value" || this.#dropSingleKey === "raw";
    if (bytes[only.start] !== 0x22 || !isBare) putValue(this.#line, bytes, only);
    else putUtf8(this.#line, textOf(bytes, only.start, only.end));
  }

  /** `key=value key=value`: texts in quotes, with the escapes of JSON; objects and arrays as JSON in quotes. */
  #putPairs(bytes: Buffer, members: readonly Member[]): void {
    const line = this.#line;
    for (const [index, member] of members.entries()) {
      putUtf8(line, `${index === 0 ? "" : " "}${textOf(bytes, member.keyStart, member.keyEnd)}=`);
      const first = bytes[member.start];
      if (first === 0x7b || first === 0x5b) {
        const before = line.length;
        putValue(line, bytes, member);
        const text = line.bytes.toString("utf8", before, line.length);
        line.length = before;
        putUtf8(line, JSON.stringify(text));
      } else putValue(line, bytes, member);
    }
  }
}

/** The names of the keys on the way; an element of an array stays, as taking it out would move those behind it. */
function namesOf(path: FieldPath): readonly string[] {
  const names = path.flatMap((step) => (step.kind === "key" ? [step.name] : []));
  return names.length === path.length ? names : [];
}

function removalOf(paths: readonly (readonly string[])[]): Removal {
  const byKey = Map.groupBy(paths, ([key = ""]) => key);
  return new Map(
    [...byKey].map(([key, all]) => {
      const isWhole = all.some((names) => names.length === 1);
      return [key, isWhole ? "all" : removalOf(all.map((names) => names.slice(1)))];
    }),
  );
}

function membersOf(bytes: Buffer, at: number, removal: Removal): readonly Member[] {
  const members: Member[] = [];
  eachChild(bytes, at, (keyStart, keyEnd, start, end) => {
    const less = removal.size === 0 ? undefined : removal.get(textOf(bytes, keyStart, keyEnd));
    if (less === "all") return;
    const isObject = bytes[start] === 0x7b;
    members.push({ keyStart, keyEnd, start, end, less: isObject ? less : undefined });
  });
  return members;
}

function putObject(line: Arena, bytes: Buffer, members: readonly Member[]): void {
  line.reserve(1);
  line.putByte(0x7b);
  for (const [index, member] of members.entries()) {
    line.reserve(member.keyEnd - member.keyStart + 2);
    if (index > 0) line.putByte(0x2c);
    line.put(bytes, member.keyStart, member.keyEnd);
    line.putByte(0x3a);
    putValue(line, bytes, member);
  }
  line.reserve(1);
  line.putByte(0x7d);
}

function putValue(line: Arena, bytes: Buffer, { start, end, less }: Member): void {
  if (less !== undefined) return putObject(line, bytes, membersOf(bytes, start, less));
  line.reserve(end - start);
  return line.put(bytes, start, end);
}

function putUtf8(line: Arena, text: string): void {
  line.reserve(3 * text.length);
  line.length += line.bytes.write(text, line.length);
}
