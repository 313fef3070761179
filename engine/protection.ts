import { implies } from "./implies.ts";
import { type CompiledRule, priorities, type RuleSet } from "./ruleset.ts";

type Rules = Pick<RuleSet, "compiled">;

/** The tag of rules that must not get lost. */
export const protectedTag = "protected";

/** What a protected rule would lose. */
export interface Loss {
  readonly rule: string;
  /** In words, such as "is removed". */
  readonly why: string;
}

/**
 * What protected rules of `before` would lose if `after` took its place; `isProtected` says which they are. A rule may
 * match more, be more urgent and say something else. A change that only might take matches away counts as one that does.
 */
export function lossesOf(
  before: Rules,
  after: Rules,
  isProtected: (rule: Pick<CompiledRule, "name" | "tags">) => boolean,
): readonly Loss[] {
  const wanted = before.compiled.filter((rule) => rule.enabled && isProtected(rule));
  if (wanted.length === 0) return [];
  const next = new Map(after.compiled.map((rule) => [rule.name, rule]));
  return wanted.flatMap((rule): readonly Loss[] => {
    const now = next.get(rule.name);
    const why = now === undefined ? "is removed" : (lossOf(rule, now) ?? shadowOf(rule, before, after));
    return why === undefined ? [] : [{ rule: rule.name, why }];
  });
}

/** Whether a rule goes on to match all that it matched, by itself. */
export function matchesStill(before: CompiledRule, after: CompiledRule): boolean {
  return after.enabled && after.source === before.source && implies(before.condition, after.condition);
}

function lossOf(before: CompiledRule, now: CompiledRule): string | undefined {
  if (!now.enabled) return "is disabled";
  if (now.source !== before.source) return `looks at ${now.source} and no longer at ${before.source}`;
  if (priorities.indexOf(now.priority) > priorities.indexOf(before.priority)) {
    return `is no longer ${before.priority}, but ${now.priority}`;
  }
  const isTagLost = before.tags.includes(protectedTag) && !now.tags.includes(protectedTag);
  if (isTagLost) return `loses its tag "${protectedTag}"`;
  return implies(before.condition, now.condition)
    ? undefined
    : "may match less: only parts of an `or` and entries of lists may be added";
}

/** The first rule that matches raises the alert, so a rule that is tried earlier takes events away from later ones. */
function shadowOf({ name, source }: CompiledRule, before: Rules, after: Rules): string | undefined {
  const ahead = ({ compiled }: Rules) => {
    const end = compiled.findIndex((rule) => rule.name === name);
    return compiled.slice(0, end).filter((rule) => rule.enabled && rule.source === source);
  };
  const known = new Map(ahead(before).map((rule) => [rule.name, rule]));
  const first = ahead(after).find((rule) => {
    const past = known.get(rule.name);
    return past === undefined || !implies(rule.condition, past.condition);
  });
  if (first === undefined) return undefined;
  return `comes after "${first.name}" now, which may take its events: put that rule behind it`;
}
