import { diffRules } from "./diff.ts";
import type { ExceptionInfo, ExceptionValue } from "./exception-info.ts";
import type { RuleInfo, RuleSet } from "./ruleset.ts";

/** A part of a rule before and after, as text. */
export interface Change {
  readonly what: "condition" | "priority" | "output" | "tags" | "desc" | "source" | "enabled";
  readonly before: string;
  readonly after: string;
}

export interface ExceptionChange {
  readonly name: string;
  readonly kind: "added" | "removed" | "redefined" | "values";
  readonly added: readonly ExceptionValue[];
  readonly removed: readonly ExceptionValue[];
}

export interface RuleChanges {
  readonly name: string;
  readonly changes: readonly Change[];
  readonly exceptions: readonly ExceptionChange[];
}

/** What two rulesets mean differently. Names stand in the order of evaluation; each rule stands in one list or more. */
export interface RuleSetComparison {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Enabled before and not any more; and the other way round. */
  readonly disabled: readonly string[];
  readonly enabled: readonly string[];
  readonly changed: readonly RuleChanges[];
  /** Whether rules that both have are tried in another order, which matters when the first match wins. */
  readonly reordered: boolean;
}

/** Compares what rules mean, with lists and macros written out; where their text stands does not matter. */
export function compareRuleSets(before: RuleSet, after: RuleSet): RuleSetComparison {
  const { added, removed, changed } = diffRules(before, after);
  const old = new Map(before.rules.map((rule) => [rule.name, rule]));
  const pairs = after.rules.flatMap((now) => {
    const past = old.get(now.name);
    return past === undefined ? [] : [{ past, now }];
  });
  const order = (rules: readonly RuleInfo[], others: ReadonlySet<string>): string =>
    JSON.stringify(rules.map(({ name }) => name).filter((name) => others.has(name)));
  const common = new Set(pairs.map(({ now }) => now.name));
  const details = pairs
    .map(({ past, now }) => changesOf(past, now))
    .filter(({ name, changes, exceptions }) => {
      const isSeen = changes.length + exceptions.length > 0;
      return isSeen || changed.includes(name);
    });
  return {
    added,
    removed,
    disabled: pairs.filter(({ past, now }) => past.enabled && !now.enabled).map(({ now }) => now.name),
    enabled: pairs.filter(({ past, now }) => !past.enabled && now.enabled).map(({ now }) => now.name),
    changed: details,
    reordered: order(before.rules, common) !== order(after.rules, common),
  };
}

function changesOf(past: RuleInfo, now: RuleInfo): RuleChanges {
  const pairs: readonly (readonly [Change["what"], string, string])[] = [
    ["source", past.source, now.source],
    ["priority", past.priority, now.priority],
    ["condition", past.ownCondition, now.ownCondition],
    ["output", past.output, now.output],
    ["desc", past.desc, now.desc],
    ["tags", past.tags.join(", "), now.tags.join(", ")],
    ["enabled", String(past.enabled), String(now.enabled)],
  ];
  const changes = pairs
    .filter(([, before, after]) => before !== after)
    .map(([what, before, after]) => ({ what, before, after }));
  return { name: now.name, changes, exceptions: exceptionChanges(past.exceptions, now.exceptions) };
}

function exceptionChanges(
  past: readonly ExceptionInfo[],
  now: readonly ExceptionInfo[],
): readonly ExceptionChange[] {
  const old = new Map(past.map((one) => [one.name, one]));
  const present = new Set(now.map(({ name }) => name));
  const gone = past
    .filter(({ name }) => !present.has(name))
    .map(({ name, values }): ExceptionChange => ({ name, kind: "removed", added: [], removed: values }));
  const others = now.flatMap((one): readonly ExceptionChange[] => {
    const before = old.get(one.name);
    if (before === undefined) return [{ name: one.name, kind: "added", added: one.values, removed: [] }];
    const added = without(one.values, before.values);
    const removed = without(before.values, one.values);
    const shape = ({ fields, comps }: ExceptionInfo): string => JSON.stringify([fields, comps]);
    const kind = shape(before) === shape(one) ? "values" : "redefined";
    const isSame = kind === "values" && added.length + removed.length === 0;
    return isSame ? [] : [{ name: one.name, kind, added, removed }];
  });
  return [...gone, ...others];
}

function without(
  all: readonly ExceptionValue[],
  others: readonly ExceptionValue[],
): readonly ExceptionValue[] {
  const known = new Set(others.map((value) => JSON.stringify(value)));
  return all.filter((value) => !known.has(JSON.stringify(value)));
}
