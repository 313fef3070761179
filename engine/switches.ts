import type { RuleInfo } from "./ruleset.ts";

/** Enables or disables rules by name (with `*` as a wildcard) or by tag. One with both applies to either. */
export interface RuleSwitch {
  readonly action: "enable" | "disable";
  readonly rule?: string;
  readonly tag?: string;
}

/** Says which rules are enabled after the switches, applied in their order. */
export function switchRules(
  rules: readonly RuleInfo[],
  switches: readonly RuleSwitch[],
): (name: string) => boolean {
  const enabled = new Map(rules.map((rule) => [rule.name, rule.enabled]));
  for (const { action, rule: pattern, tag } of switches) {
    for (const { name, tags } of rules) {
      const isMeant =
        (pattern !== undefined && matches(pattern, name)) || (tag !== undefined && tags.includes(tag));
      if (isMeant) enabled.set(name, action === "enable");
    }
  }
  return (name) => enabled.get(name) ?? false;
}

/**
 * Each piece between wildcards is taken where it is found first, as Falco does, and never looked for again: `*run` does
 * not match `run a run`.
 */
function matches(pattern: string, name: string): boolean {
  const [first = "", ...pieces] = pattern.split("*");
  if (pieces.length === 0) return pattern === name;
  if (!name.startsWith(first)) return false;
  let at = first.length;
  for (const piece of pieces) {
    const found = name.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return pieces.at(-1) === "" || at === name.length;
}
