import type { RuleSet } from "#engine";

/** What a change of rules does to the threats that rules are tagged with, beside `CoverageLoss`. */
export interface TagChange {
  /** Enabled rules. */
  readonly rulesBefore: number;
  readonly rulesAfter: number;
  /** MITRE ATT&CK tactics and techniques that enabled rules are tagged with, by their tags. */
  readonly gained: readonly string[];
  readonly lost: readonly string[];
}

export function compareTags(before: RuleSet, after: RuleSet): TagChange {
  const [old, next] = [coverageOf(before), coverageOf(after)];
  return {
    rulesBefore: old.rules,
    rulesAfter: next.rules,
    gained: [...next.tags].filter((tag) => !old.tags.has(tag)).toSorted(),
    lost: [...old.tags].filter((tag) => !next.tags.has(tag)).toSorted(),
  };
}

function coverageOf({ rules }: RuleSet) {
  const enabled = rules.filter((rule) => rule.enabled);
  const tags = enabled.flatMap((rule) => rule.tags.map((tag) => tag.toLowerCase()).filter(isMitre));
  return { rules: enabled.length, tags: new Set(tags) };
}

/** "mitre_execution", "T1059" or "T1059.004". */
function isMitre(tag: string): boolean {
  return /^(?:mitre_\w+|t\d{4}(?:\.\d{3})?)$/.test(tag);
}
