import { diffRules, loadRules, renderFindings, type RulesFile, type RuleSet } from "#engine";
import { refused } from "../failure.ts";
import type { NameDiff } from "./diff-bundles.ts";

/**
 * Compares two sets of rules files by what they mean: lists, macros and overrides expanded. Fails with the findings when
 * one of them does not load, for then it has no rules to compare.
 */
export function compareRules(before: readonly RulesFile[], after: readonly RulesFile[]): NameDiff {
  return diffRules(rulesetOf(before), rulesetOf(after));
}

function rulesetOf(files: readonly RulesFile[]): RuleSet {
  const report = loadRules(files);
  if (report.ok) return report.ruleset;
  throw refused(`the rules do not load, so they cannot be compared:\n${renderFindings(report, files)}`);
}
