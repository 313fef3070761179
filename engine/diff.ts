import type { RuleSet } from "./ruleset.ts";

/** Names of rules that differ between two rulesets, each list in the order of evaluation. */
export interface RuleDiff {
  readonly added: string[];
  readonly removed: string[];
  readonly changed: string[];
}

/**
 * Compares what rules mean after lists, macros, exceptions and overrides are expanded. Moving text between
 * files or renaming a macro changes nothing; a changed list changes every rule it reaches.
 */
export function diffRules(before: RuleSet, after: RuleSet): RuleDiff {
  const old = meanings(before);
  const now = meanings(after);
  return {
    added: [...now.keys()].filter((name) => !old.has(name)),
    removed: [...old.keys()].filter((name) => !now.has(name)),
    changed: [...now.keys()].filter((name) => old.has(name) && old.get(name) !== now.get(name)),
  };
}

/** The parsed condition is compared, for canonical text leaves out quotes that could tell values apart. */
function meanings({ rules, compiled }: RuleSet): ReadonlyMap<string, string> {
  const conditions = new Map(compiled.map(({ name, condition }) => [name, condition]));
  const plain = (key: string, value: unknown): unknown =>
    key === "at" || key === "macros" ? undefined : value;
  return new Map(
    rules.map(({ exceptions: _exceptions, ownCondition: _own, ...rule }) => [
      rule.name,
      JSON.stringify([rule, conditions.get(rule.name)], plain),
    ]),
  );
}
