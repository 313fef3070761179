import type { RuleInfo, RuleSet } from "./ruleset.ts";

/** The same rules with only those enabled that are wanted; nothing is compiled again. */
export function keepRules(ruleset: RuleSet, isWanted: (rule: RuleInfo) => boolean): RuleSet {
  const rules = ruleset.rules.map((rule) => ({ ...rule, enabled: isWanted(rule) }));
  const enabled = new Map(rules.map((rule) => [rule.name, rule.enabled]));
  const compiled = ruleset.compiled.map((rule) => ({ ...rule, enabled: enabled.get(rule.name) ?? false }));
  return { ...ruleset, rules, compiled };
}
