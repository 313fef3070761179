import type { NestConfig } from "#shipper";
import { Arena } from "./arena.ts";
import { Member, writeObject } from "./draft.ts";
import type { Draft } from "./draft.ts";
import { compileKeyTest } from "./filter-conditions.ts";
import type { Filter } from "./filter.ts";
import { eachChild, RecordKey, wholeOf } from "./json-walk.ts";
import type { Text } from "./json-walk.ts";

/** Most top-level keys: as many as a record that is read may have. */
const membersMax = 65_536;

/**
 * `nest`: keys into an object, or an object's keys to the top. A key is never written twice: what would take the name of
 * another one stays where it is, so that no record can put a second `x_cluster` beside the agent's.
 */
export class NestFilter implements Filter {
  readonly config: NestConfig;
  readonly #under: RecordKey;
  readonly #isMeant: (member: Member) => boolean;
  /** Where objects are put together; what is done is copied out of it. */
  readonly #scratch = new Arena();

  constructor(config: NestConfig) {
    this.config = config;
    this.#under = new RecordKey(config.under);
    const tests = config.operation === "nest" ? config.keys.map(compileKeyTest) : [];
    this.#isMeant =
      config.operation === "nest"
        ? (member) => tests.some((test) => test(member))
        : (member) => member.is(this.#under) && member.value.bytes[member.value.start] === 0x7b;
  }

  apply(draft: Draft): undefined {
    const { members } = draft;
    const meant = members.filter(this.#isMeant);
    if (meant.length === 0) return;
    const changed = this.config.operation === "nest" ? this.#nest(members, meant) : this.#lift(members);
    if (changed !== undefined) draft.replace(changed);
  }

  #nest(members: readonly Member[], meant: readonly Member[]): Member[] | undefined {
    const others = members.filter((one) => !this.#isMeant(one));
    if (others.some((one) => one.is(this.#under))) return undefined;
    const inner = this.#renamed(meant, new Set());
    return [...others, this.#objectMember(this.#under, inner)];
  }

  #lift(members: readonly Member[]): Member[] | undefined {
    const taken = new Set(members.filter((one) => !this.#isMeant(one)).map((one) => one.name));
    const top: Member[] = [];
    const lifted: Member[] = [];
    let isChanged = false;
    for (const member of members) {
      if (!this.#isMeant(member)) {
        top.push(member);
        continue;
      }
      const staying: Member[] = [];
      // The object itself may stay, too: then its name is taken as well.
      const children = childrenOf(member);
      for (const child of children) {
        const name = this.#rename(child.name);
        if (taken.has(name) || name === this.config.under) staying.push(child);
        else {
          taken.add(name);
          lifted.push(name === child.name ? child : child.withKey(new RecordKey(name)));
        }
      }
      if (staying.length > 0) top.push(this.#objectMember(this.#under, staying));
      if (staying.length < children.length || children.length === 0) isChanged = true;
    }
    return isChanged && top.length + lifted.length <= membersMax ? [...top, ...lifted] : undefined;
  }

  /** Members with the prefix added or taken away, except where that would give two the same name. */
  #renamed(members: readonly Member[], taken: Set<string>): readonly Member[] {
    if (this.config.prefix === undefined) return members;
    for (const { name } of members) if (this.#rename(name) === name) taken.add(name);
    return members.map((one) => {
      const { name } = one;
      const renamed = this.#rename(name);
      if (renamed === name || taken.has(renamed)) return one;
      taken.add(renamed);
      return one.withKey(new RecordKey(renamed));
    });
  }

  #rename(name: string): string {
    const { prefix } = this.config;
    if (prefix === undefined) return name;
    if (prefix.kind === "add") return `${prefix.text}${name}`;
    return name.startsWith(prefix.text) ? name.slice(prefix.text.length) : name;
  }

  /** A member whose value is an object of members; masked where one of them is. */
  #objectMember(key: RecordKey, inner: readonly Member[]): Member {
    const isMasked = inner.some((one) => one.clear !== undefined);
    const clear = inner.map((one) => one.withoutMask());
    const member = Member.of(key, this.#object(inner));
    return isMasked ? member.withValue(member.value, this.#object(clear)) : member;
  }

  #object(members: readonly Member[]): Text {
    this.#scratch.reset();
    writeObject(this.#scratch, members);
    return wholeOf(Buffer.from(this.#scratch.bytes.subarray(0, this.#scratch.length)));
  }
}

/** What an object holds. A mask keeps the shape of what it hides, so that clear and masked values go in pairs. */
function childrenOf({ value, clear }: Member): readonly Member[] {
  const clears: Text[] = [];
  if (clear !== undefined) {
    const { bytes } = clear;
    eachChild(bytes, clear.start, (_keyStart, _keyEnd, start, end) => clears.push({ bytes, start, end }));
  }
  const { bytes } = value;
  const found: Member[] = [];
  eachChild(bytes, value.start, (keyStart, keyEnd, start, end) => {
    const key = { bytes, start: keyStart, end: keyEnd };
    found.push(new Member(key, true, { bytes, start, end }, clears[found.length]));
  });
  return found;
}
