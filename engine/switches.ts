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

/** Pieces between the wildcards must occur one after another; the outer ones at the ends. */
function matches(pattern: string, name: string): boolean {
  const pieces = pattern.split("*");
  const first = pieces[0] ?? "";
  const last = pieces.at(-1) ?? "";
  if (pieces.length === 1) return pattern === name;
  if (!name.startsWith(first) || !name.endsWith(last) || name.length < first.length + last.length) {
    return false;
  }
  let at = first.length;
  for (const piece of pieces.slice(1, -1)) {
    const found = name.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return at <= name.length - last.length;
}
