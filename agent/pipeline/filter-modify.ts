import type { ModifyConfig, ModifyRule } from "#shipper";
import { KeySet, Member } from "./draft.ts";
import type { Constants, Draft } from "./draft.ts";
import { compileConditions, compileKeyTest } from "./filter-conditions.ts";
import type { Filter } from "./filter.ts";
import { RecordKey, wholeOf } from "./json-walk.ts";

/** Members before a rule and after it; the same list when it changes nothing. */
type Rule = (members: readonly Member[]) => readonly Member[];

/** `modify`, and what is written with its rules. */
export class ModifyFilter implements Filter {
  readonly config: ModifyConfig;
  readonly #holds: (draft: Draft) => boolean;
  readonly #rules: readonly Rule[];
  /** Keys that change what happens. A record with none of them gets `#added`, and is left alone when there is nothing. */
  readonly #keys: KeySet | undefined;
  readonly #added: Constants;

  constructor(config: ModifyConfig) {
    this.config = config;
    this.#holds = compileConditions(config.conditions);
    this.#rules = config.rules.map(compileRule);
    const keys = config.rules.map(keysOf);
    const isPlain = keys.every((some) => some.length > 0);
    this.#keys = isPlain ? new KeySet(keys.flat().map((key) => new RecordKey(key))) : undefined;
    const members = isPlain ? this.#apply([]) : [];
    this.#added = { members, text: joined(members) };
  }

  apply(draft: Draft): undefined {
    if (!this.#holds(draft)) return;
    if (this.#keys !== undefined && !draft.hasAny(this.#keys)) {
      if (this.#added.members.length > 0) draft.append(this.#added);
      return;
    }
    const before = draft.members;
    const after = this.#apply(before);
    if (after !== before) draft.replace([...after]);
  }

  #apply(members: readonly Member[]): readonly Member[] {
    return this.#rules.reduce((now, rule) => rule(now), members);
  }
}

/** Keys without which a rule does the same to every record; none when there are no such keys. */
function keysOf(rule: ModifyRule): readonly string[] {
  switch (rule.kind) {
    case "add":
    case "set":
      return [rule.key];
    case "rename":
    case "copy":
      return [rule.key, rule.to];
    case "remove":
      return rule.keys.kind === "is" && !rule.keys.ignoresCase ? [rule.keys.text] : [];
    case "keep":
    case "move":
      return [];
  }
}

function compileRule(rule: ModifyRule): Rule {
  switch (rule.kind) {
    case "add":
    case "set":
      return compileAddition(rule.kind, rule.key, rule.value);
    case "remove": {
      const isMeant = compileKeyTest(rule.keys);
      return (members) => (members.some(isMeant) ? members.filter((one) => !isMeant(one)) : members);
    }
    case "keep": {
      const tests = rule.keys.map(compileKeyTest);
      const isKept = (member: Member): boolean => tests.some((test) => test(member));
      return (members) => (members.every(isKept) ? members : members.filter(isKept));
    }
    case "rename":
      return compileRename(new RecordKey(rule.key), new RecordKey(rule.to), rule.isHard);
    case "copy":
      return compileCopy(new RecordKey(rule.key), new RecordKey(rule.to), rule.isHard);
    case "move": {
      const isMeant = compileKeyTest(rule.keys);
      return (members) => {
        const moved = members.filter(isMeant);
        if (moved.length === 0) return members;
        const others = members.filter((one) => !isMeant(one));
        return rule.to === "start" ? [...moved, ...others] : [...others, ...moved];
      };
    }
  }
}

function compileAddition(kind: "add" | "set", name: string, value: string): Rule {
  const key = new RecordKey(name);
  const added = Member.of(key, wholeOf(Buffer.from(JSON.stringify(value))));
  return (members) => {
    if (!members.some((one) => one.is(key))) return [...members, added];
    return kind === "add" ? members : [...members.filter((one) => !one.is(key)), added];
  };
}

function compileRename(key: RecordKey, to: RecordKey, isHard: boolean): Rule {
  return (members) => {
    if (!members.some((one) => one.is(key))) return members;
    if (!isHard && members.some((one) => one.is(to))) return members;
    return members.flatMap((one) => {
      if (one.is(to)) return [];
      return one.is(key) ? [one.withKey(to)] : [one];
    });
  };
}

/** The copy stands behind what it was made of. As in Fluent Bit a key that is there several times is not copied. */
function compileCopy(key: RecordKey, to: RecordKey, isHard: boolean): Rule {
  return (members) => {
    if (members.filter((one) => one.is(key)).length !== 1) return members;
    if (!isHard && members.some((one) => one.is(to))) return members;
    return members.flatMap((one) => {
      if (one.is(to)) return [];
      return one.is(key) ? [one, one.withKey(to)] : [one];
    });
  };
}

function joined(members: readonly Member[]): Buffer {
  const parts = members.map(({ key, value }) => `${key.bytes.toString()}:${value.bytes.toString()}`);
  return Buffer.from(parts.join(","));
}
