import type { FieldPath, LokiConfig } from "#shipper";
import { Arena } from "./arena.ts";
import { RecordKey, eachChild, textOf } from "./json-walk.ts";
import { putUtf8 } from "./put.ts";
import type { RecordScanner } from "./scan.ts";

/** A key to leave out: all of its value, or what lies deeper in it. */
interface Removal {
  readonly key: RecordKey;
  readonly deeper: readonly Removal[];
}

interface Member {
  readonly keyStart: number;
  readonly keyEnd: number;
  readonly start: number;
  readonly end: number;
  /** What is left out of the value. */
  readonly less: readonly Removal[];
}

/** Makes the log lines of records that a scanner has just gone over: what is removed is left out, the rest is copied. */
export class LokiLine {
  readonly #removals: readonly Removal[];
  readonly #format: LokiConfig["lineFormat"];
  readonly #dropSingleKey: LokiConfig["dropSingleKey"];
  readonly #line = new Arena();

  constructor(config: Pick<LokiConfig, "removed" | "lineFormat" | "dropSingleKey">) {
    this.#removals = removalsOf(config.removed.map(namesOf).filter((names) => names.length > 0));
    this.#format = config.lineFormat;
    this.#dropSingleKey = config.dropSingleKey;
  }

  /** Whether a record is its own line, so that `make` need not be called. */
  get isWhole(): boolean {
    return this.#removals.length === 0 && this.#format === "json" && this.#dropSingleKey === "off";
  }

  /** The line, with a line break behind it that is not part of it; valid until the next call. */
  make(bytes: Buffer, { members, count }: RecordScanner): Buffer {
    const kept: Member[] = [];
    for (let at = 0; at < 4 * count; at += 4) {
      keep(
        kept,
        bytes,
        this.#removals,
        members[at] ?? 0,
        members[at + 1] ?? 0,
        members[at + 2] ?? 0,
        members[at + 3] ?? 0,
      );
    }
    const line = this.#line;
    line.reset();
    const [only] = kept;
    if (this.#dropSingleKey !== "off" && only !== undefined && kept.length === 1) this.#putOnly(bytes, only);
    else if (this.#format === "json") putObject(line, bytes, kept);
    else this.#putPairs(bytes, kept);
    line.reserve(1);
    line.bytes[line.length] = 0x0a;
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

function removalsOf(paths: readonly (readonly string[])[]): readonly Removal[] {
  const byName = Map.groupBy(paths, ([name = ""]) => name);
  return [...byName].map(([name, all]) => {
    const isWhole = all.some((names) => names.length === 1);
    return {
      key: new RecordKey(name),
      deeper: isWhole ? [] : removalsOf(all.map((names) => names.slice(1))),
    };
  });
}

/** Adds a member, unless it is to be left out. */
function keep(
  kept: Member[],
  bytes: Buffer,
  removals: readonly Removal[],
  keyStart: number,
  keyEnd: number,
  start: number,
  end: number,
): void {
  let less: readonly Removal[] = [];
  for (const { key, deeper } of removals) {
    if (!key.isAt(bytes, keyStart, keyEnd)) continue;
    if (deeper.length === 0) return;
    if (bytes[start] === 0x7b) less = deeper;
  }
  kept.push({ keyStart, keyEnd, start, end, less });
}

function putObject(line: Arena, bytes: Buffer, members: readonly Member[]): void {
  line.reserve(1);
  line.putByte(0x7b);
  for (let index = 0; index < members.length; index++) {
    const member = members[index];
    if (member === undefined) continue;
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
  if (less.length > 0) {
    const kept: Member[] = [];
    eachChild(bytes, start, (...child) => keep(kept, bytes, less, ...child));
    putObject(line, bytes, kept);
    return;
  }
  line.reserve(end - start);
  line.put(bytes, start, end);
}
