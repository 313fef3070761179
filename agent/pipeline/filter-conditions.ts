import { compileRegex } from "#shipper";
import type { Condition, KeyTest } from "#shipper";
import type { Draft, Member } from "./draft.ts";
import { RecordKey, stepsOf, textOf } from "./json-walk.ts";
import type { Text } from "./json-walk.ts";

/** The test whether all conditions hold. */
export function compileConditions(conditions: readonly Condition[]): (draft: Draft) => boolean {
  const tests = conditions.map(compileCondition);
  return (draft) => tests.every((test) => test(draft));
}

function compileCondition(condition: Condition): (draft: Draft) => boolean {
  const { wanted } = condition;
  switch (condition.kind) {
    case "exists": {
      const steps = stepsOf(condition.path);
      return (draft) => (draft.find(steps) !== undefined) === wanted;
    }
    case "a-key-matches": {
      const keys = compileRegex(condition.keys);
      return (draft) => draft.members.some((member) => keys(member.name)) === wanted;
    }
    case "equals": {
      const steps = stepsOf(condition.path);
      // A text is compared as a key is: its spelling does not matter.
      const text = new RecordKey(condition.value);
      return (draft) => {
        const value = draft.find(steps);
        return value !== undefined && text.isAt(value.bytes, value.start, value.end) === wanted;
      };
    }
    case "matches": {
      const steps = stepsOf(condition.path);
      const pattern = compileRegex(condition.pattern);
      return (draft) => {
        const value = draft.find(steps);
        return value !== undefined && matchesText(value, pattern) === wanted;
      };
    }
    case "matching-keys-match": {
      const keys = compileRegex(condition.keys);
      const pattern = compileRegex(condition.pattern);
      return (draft) =>
        draft.members.every((one) => !keys(one.name) || matchesText(one.value, pattern)) === wanted;
    }
  }
}

function matchesText({ bytes, start, end }: Text, pattern: (text: string) => boolean): boolean {
  const first = bytes[start];
  if (first === 0x22) return pattern(textOf(bytes, start, end));
  return (first === 0x74 && pattern("true")) || (first === 0x66 && pattern("false"));
}

/** The test whether a key is meant. */
export function compileKeyTest({ kind, text, ignoresCase }: KeyTest): (member: Member) => boolean {
  switch (kind) {
    case "is": {
      if (ignoresCase) return (member) => member.name.toLowerCase() === text.toLowerCase();
      const key = new RecordKey(text);
      return (member) => member.is(key);
    }
    case "begins": {
      if (ignoresCase) return (member) => member.name.toLowerCase().startsWith(text.toLowerCase());
      return (member) => member.name.startsWith(text);
    }
    case "matches": {
      const pattern = compileRegex(text);
      return (member) => pattern(member.name);
    }
  }
}
