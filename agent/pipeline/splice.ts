import type { ModifyRule } from "#shipper";
import type { Arena } from "./arena.ts";
import type { FilterChain } from "./filter-chain.ts";
import type { RecordScanner } from "./scan.ts";

interface Member {
  readonly key: string;
  /** The key as JSON and the value as it was written. */
  readonly keyJson: Buffer;
  readonly value: Buffer;
}

/**
 * The rules of all filters that a tag passes, ready to run. Values are copied as bytes, never rebuilt: numbers keep their
 * digits, strings their escapes. A key is found by its name, however its letters are escaped, and wherever it is repeated.
 */
export class Splice implements FilterChain {
  readonly #rules: readonly ModifyRule[];
  /** Keys whose presence makes a difference. */
  readonly #keys: readonly Buffer[];
  /** What every record gets that has none of the keys, when the rules only add: the usual case. */
  readonly #suffix: Buffer | undefined;

  constructor(rules: readonly ModifyRule[]) {
    this.#rules = rules;
    this.#keys = rules.map((rule) => Buffer.from(JSON.stringify(rule.key)));
    const onlyAdds = rules.every((rule) => rule.kind === "add" || rule.kind === "set");
    this.#suffix = onlyAdds ? join(applyRules([], rules)) : undefined;
  }

  apply(source: Buffer, start: number, end: number, shape: RecordScanner, arena: Arena): boolean {
    if (this.#rules.length === 0) {
      arena.reserve(end - start + 1);
      arena.put(source, start, end);
    } else if (this.#suffix !== undefined && !shape.hasEscapedKey && !this.#hasAnyKey(source, shape)) {
      arena.reserve(shape.close - shape.open + this.#suffix.length + 3);
      arena.put(source, shape.open, shape.close);
      if (shape.count > 0 && this.#suffix.length > 0) arena.putByte(0x2c);
      arena.put(this.#suffix, 0, this.#suffix.length);
      arena.putByte(0x7d);
    } else {
      const inner = join(applyRules(readMembers(source, shape), this.#rules));
      arena.reserve(inner.length + 3);
      arena.putByte(0x7b);
      arena.put(inner, 0, inner.length);
      arena.putByte(0x7d);
    }
    arena.putByte(0x0a);
    return true;
  }

  #hasAnyKey(source: Buffer, shape: RecordScanner): boolean {
    const members = shape.members;
    for (let index = 0; index < shape.count; index++) {
      const start = members[4 * index] ?? 0;
      const length = (members[4 * index + 1] ?? 0) - start;
      for (const key of this.#keys) if (key.length === length && equals(source, start, key)) return true;
    }
    return false;
  }
}

function equals(source: Buffer, start: number, key: Buffer): boolean {
  for (let index = key.length - 1; index >= 0; index--) {
    if (source[start + index] !== key[index]) return false;
  }
  return true;
}

function readMembers(source: Buffer, shape: RecordScanner): Member[] {
  const found: Member[] = [];
  const at = (index: number) => shape.members[index] ?? 0;
  for (let index = 0; index < shape.count; index++) {
    const keyJson = source.subarray(at(4 * index), at(4 * index + 1));
    const value = source.subarray(at(4 * index + 2), at(4 * index + 3));
    found.push({ key: JSON.parse(keyJson.toString()) as string, keyJson, value });
  }
  return found;
}

/** One rule after the other, as in Fluent Bit: a rule sees what the rules before it did. */
function applyRules(members: Member[], rules: readonly ModifyRule[]): Member[] {
  let now = members;
  for (const rule of rules) {
    const found = now.find((member) => member.key === rule.key);
    switch (rule.kind) {
      case "add":
        if (found === undefined) now = [...now, newMember(rule.key, rule.value)];
        break;
      case "set":
        now = [...now.filter((member) => member.key !== rule.key), newMember(rule.key, rule.value)];
        break;
      case "remove":
        now = now.filter((member) => member.key !== rule.key);
        break;
      case "rename":
      case "copy": {
        if (found === undefined || now.some((member) => member.key === rule.to)) break;
        const moved = { ...found, key: rule.to, keyJson: Buffer.from(JSON.stringify(rule.to)) };
        now = rule.kind === "copy" ? [...now, moved] : renamed(now, rule.key, moved);
        break;
      }
    }
  }
  return now;
}

/** Puts `moved` in the place of the first `key`; further ones of that name go, as nobody could tell which one counts. */
function renamed(members: readonly Member[], key: string, moved: Member): Member[] {
  const first = members.findIndex((member) => member.key === key);
  return members.flatMap((member, index) => (index === first ? [moved] : member.key === key ? [] : [member]));
}

function newMember(key: string, value: string): Member {
  return { key, keyJson: Buffer.from(JSON.stringify(key)), value: Buffer.from(JSON.stringify(value)) };
}

function join(members: readonly Member[]): Buffer {
  const colon = Buffer.from(":");
  const comma = Buffer.from(",");
  return Buffer.concat(
    members.flatMap((m, index) => [...(index === 0 ? [] : [comma]), m.keyJson, colon, m.value]),
  );
}
