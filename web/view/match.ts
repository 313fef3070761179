/** What stands in the filter of alerts: matchers for the server (docs/alerts.md), and words that a rule or output holds. */
export interface AlertWish {
  readonly matchers: string;
  readonly words: readonly string[];
  /** A term that is neither, for the person who typed it. */
  readonly problem: string;
}

const matcher = /([^\s,{}()=!~<>"`]+)\s*(=~|!~|!=|>=|<=|=|>|<)\s*("(?:[^"\\]|\\.)*"|`[^`]*`|[^\s,"`{}]*)/g;

/**
 * Reads matchers as fleetctl reads them after --match, with commas or blanks between them. A bare word looks for texts here.
 * Whether names and patterns mean something the server says.
 */
export function parseWish(text: string): AlertWish {
  // A matcher without a value is still being typed: it asks for nothing yet.
  const matchers = [...text.matchAll(matcher)].flatMap(([whole, , , value]) => (value === "" ? [] : [whole]));
  const words = text
    .replaceAll(matcher, " ")
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(Boolean);
  const odd = words.find((word) => /[=!~<>"`(){}]/.test(word));
  const problem =
    odd === undefined
      ? ""
      : `"${odd.slice(0, 40)}" is neither a word nor a matcher: region=eu, rule="Exec into a pod", priority>=warning`;
  return { matchers: matchers.join(", "), words: odd === undefined ? words : [], problem };
}

/** A matcher for exactly this value, as the server reads it. */
export function matcherText(name: string, value: string): string {
  const escaped = value
    .replaceAll(/["\\]/g, String.raw`\$&`)
    .replaceAll("\n", String.raw`\n`)
    .replaceAll("\t", String.raw`\t`);
  return `${name}="${escaped}"`;
}

/** What says of a group which alerts are in it. */
export interface GroupNames {
  readonly rule: string;
  readonly clusterName: string;
  readonly actor: string;
}

/** Stands in a group for all rules or actors that came after a cluster had as many groups as are kept apart. */
export const many = "*";

/**
 * What the alerts of some groups have in common. An actor that none of them names is one, too: without it a silence would be
 * everybody's. A group of many rules has its cluster alone in common, which would silence all of it, so that a person has
 * to say what is meant.
 */
export function groupMatchers(groups: readonly GroupNames[]): string {
  const [first] = groups;
  if (first === undefined || groups.some(({ rule }) => rule === many)) return "";
  const common = (name: string, of: (group: GroupNames) => string) =>
    of(first) !== many && groups.every((group) => of(group) === of(first))
      ? [matcherText(name, of(first))]
      : [];
  return [
    ...common("rule", ({ rule }) => rule),
    ...common("cluster", ({ clusterName }) => clusterName),
    ...common("actor", ({ actor }) => actor),
  ].join(", ");
}

/** Matchers that choose the alerts of a group and no others; undefined for one of many, whose alerts no matcher tells apart. */
export function ownMatchers(group: GroupNames): string | undefined {
  return group.rule === many || group.actor === many ? undefined : groupMatchers([group]);
}

/** Whether one of the matchers says of which rule or actor alerts have to be. What they rule out says nothing of the rest. */
export function saysRuleOrActor(text: string): boolean {
  let end = 0;
  for (const { 0: whole, 1: name = "", 2: operator = "", index } of text.matchAll(matcher)) {
    // Only after a comma does the server read another name: what stands elsewhere is part of a value.
    const isName =
      end === 0 ? /^\s*\{?\s*$/.test(text.slice(0, index)) : /,\s*$/.test(text.slice(end, index));
    end = index + whole.length;
    if (isName && (name === "rule" || name === "actor") && operator.startsWith("=")) return true;
  }
  return false;
}
