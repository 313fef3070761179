import { coverRequests, type RequestKind, type RuleInfo, type RuleSet } from "#engine";
import { mitreTactics } from "./mitre.ts";
import { resourceName } from "./request-kinds.ts";

/** What a set of rules looks at, and what it does not. */
export interface RuleCoverage {
  readonly rules: number;
  readonly tactics: readonly TagCount[];
  readonly techniques: readonly TagCount[];
  /** Tactics of MITRE ATT&CK that no enabled rule has as a tag. */
  readonly tacticsWithout: readonly string[];
  /** Enabled rules without any tag of MITRE. */
  readonly rulesWithout: readonly string[];
  readonly resources: readonly ResourceCoverage[];
  /** Verbs for which only rules about any resource can fire, or none. */
  readonly verbs: readonly { readonly verb: string; readonly rules: number }[];
}

export interface TagCount {
  readonly tag: string;
  readonly rules: readonly string[];
}

export interface ResourceCoverage {
  readonly resource: string;
  /** Rules that ask for this resource. */
  readonly rules: readonly string[];
  /** Verbs for which such a rule can fire, those for which only rules about any resource can, and the others. */
  readonly seen: readonly string[];
  readonly general: readonly string[];
  readonly unseen: readonly string[];
  /** How many of the given events are of an unseen or only generally seen kind; undefined without events. */
  readonly eventsMissed: number | undefined;
}

/** `counts` says how often each kind of request occurred in recorded events. */
export function coverRules(
  ruleset: RuleSet,
  served: readonly RequestKind[],
  counts?: ReadonlyMap<string, { readonly kind: RequestKind; readonly events: number }>,
): RuleCoverage {
  const enabled = ruleset.rules.filter((rule) => rule.enabled);
  const recorded = counts === undefined ? [] : [...counts.values()].map(({ kind }) => kind);
  const kinds = new Map([...served, ...recorded].map((kind) => [keyOf(kind), kind]));
  const covered = coverRequests(ruleset, [...kinds.values()]);
  const groups = Map.groupBy(covered, resourceName);
  const resources = [...groups].map(([resource, requests]): ResourceCoverage => {
    const verbsOf = (isMeant: (request: (typeof requests)[number]) => boolean): readonly string[] =>
      requests.filter(isMeant).map(({ verb }) => verb);
    const missed = requests
      .filter(({ specific }) => specific.length === 0)
      .reduce((sum, request) => sum + (counts?.get(keyOf(request))?.events ?? 0), 0);
    return {
      resource,
      rules: [...new Set(requests.flatMap(({ specific }) => specific))],
      seen: verbsOf(({ specific }) => specific.length > 0),
      general: verbsOf(({ specific, general }) => specific.length === 0 && general.length > 0),
      unseen: verbsOf(({ specific, general }) => specific.length + general.length === 0),
      eventsMissed: counts === undefined ? undefined : missed,
    };
  });
  const verbs = [...Map.groupBy(covered, ({ verb }) => verb)].map(([verb, requests]) => ({
    verb,
    rules: new Set(requests.flatMap(({ specific, general }) => [...specific, ...general])).size,
  }));
  return { rules: enabled.length, ...coverTags(enabled), resources, verbs };
}

/** One text for each kind of request. */
export function keyOf({ verb, resource, subresource }: RequestKind): string {
  return `${verb} ${resource}/${subresource}`;
}

function coverTags(rules: readonly RuleInfo[]) {
  const byTag = new Map<string, string[]>();
  for (const { name, tags } of rules) {
    for (const tag of tags) byTag.set(tag, [...(byTag.get(tag) ?? []), name]);
  }
  const counts = [...byTag].map(([tag, names]): TagCount => ({ tag, rules: names }));
  const techniques = counts.filter(({ tag }) => isTechnique(tag)).toSorted(byName);
  const tactics = counts.filter(({ tag }) => isTactic(tag)).toSorted(byName);
  return {
    tactics,
    techniques,
    tacticsWithout: mitreTactics.filter((tactic) => !tactics.some(({ tag }) => tacticOf(tag) === tactic)),
    rulesWithout: rules
      .filter(({ tags }) => !tags.some((tag) => isTechnique(tag) || isTactic(tag)))
      .map(({ name }) => name),
  };
}

const byName = (a: TagCount, b: TagCount): number => (a.tag < b.tag ? -1 : 1);

function isTechnique(tag: string): boolean {
  return /^(?:mitre_)?t\d{4}(?:\.\d{3})?$/i.test(tag);
}

function isTactic(tag: string): boolean {
  const tactic = tacticOf(tag);
  return tag.toLowerCase().startsWith("mitre_") && mitreTactics.some((known) => known === tactic);
}

function tacticOf(tag: string): string {
  return tag
    .toLowerCase()
    .replace(/^mitre_/, "")
    .replaceAll("-", "_");
}
