import { coverRequests, lossesOf, matchesStill, protectedTag, servedRequests, type RuleSet } from "#engine";

/** What clusters no longer notice when one ruleset takes the place of another. */
export interface CoverageLoss {
  readonly removed: readonly string[];
  readonly disabled: readonly string[];
  /** As sentences. */
  readonly protected: readonly string[];
  /** Kinds of requests that rules asked for before. */
  readonly requestsBefore: number;
  /** Those of them that no rule asks for now, as VERB RESOURCE. */
  readonly requestsLost: readonly string[];
}

/** A smaller part of the kinds of requests that were asked for may get lost without a word, in percent. */
export const requestsLostPercentMax = 5;

/**
 * Compares two rulesets by what they notice; undefined when nothing that counts is lost. A rule under another name counts
 * when it matches, by its shape, all that the old one matched.
 */
export function coverageLoss(before: RuleSet, after: RuleSet): CoverageLoss | undefined {
  const now = new Map(after.compiled.map((rule) => [rule.name, rule]));
  const known = new Set(before.compiled.map(({ name }) => name));
  const added = after.compiled.filter((rule) => rule.enabled && !known.has(rule.name));
  const gone = before.compiled.filter((rule) => rule.enabled && now.get(rule.name)?.enabled !== true);
  const removed = gone.filter((rule) => !now.has(rule.name) && !added.some((one) => matchesStill(rule, one)));
  const kinds = servedRequests();
  const [asked, asks] = [before, after].map((rules) =>
    coverRequests(rules, kinds).map(({ specific }) => specific.length > 0),
  );
  const requestsLost = kinds.filter((_kind, i) => asked?.[i] === true && asks?.[i] !== true);
  const isProtected = ({ tags }: { readonly tags: readonly string[] }) => tags.includes(protectedTag);
  const loss = {
    removed: removed.map(({ name }) => name),
    disabled: gone.filter(({ name }) => now.has(name)).map(({ name }) => name),
    protected: lossesOf(before, after, isProtected).map(({ rule, why }) => `"${rule}" ${why}`),
    requestsBefore: (asked ?? []).filter(Boolean).length,
    requestsLost: requestsLost.map(({ verb, resource, subresource }) =>
      subresource === "" ? `${verb} ${resource}` : `${verb} ${resource}/${subresource}`,
    ),
  };
  const isMuch = requestsLost.length * 100 > loss.requestsBefore * requestsLostPercentMax;
  const isLost = loss.removed.length + loss.disabled.length + loss.protected.length > 0 || isMuch;
  return isLost ? loss : undefined;
}
