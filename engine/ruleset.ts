import type { Expression } from "./ast.ts";

/** Priorities from the most urgent to the least; a rule's number is its place. */
export const priorities = [
  "Emergency",
  "Alert",
  "Critical",
  "Error",
  "Warning",
  "Notice",
  "Informational",
  "Debug",
] as const;

export type Priority = (typeof priorities)[number];

/** Reads a priority in any case; `info` is short for informational. */
export function parsePriority(text: string): Priority | undefined {
  const word = text.toLowerCase();
  return priorities.find((priority) => priority.toLowerCase() === (word === "info" ? "informational" : word));
}

/** What people and other rooms may know about a rule. */
export interface RuleInfo {
  readonly name: string;
  readonly priority: Priority;
  readonly source: string;
  /** In alphabetical order, each once. */
  readonly tags: readonly string[];
  readonly enabled: boolean;
  readonly desc: string;
  /** Lists, macros and exceptions expanded, in Falco's canonical form. */
  readonly condition: string;
  readonly output: string;
}

/** A rule ready for a detector: plain data, so that it can be handed to another thread. */
export interface CompiledRule {
  readonly name: string;
  readonly priority: Priority;
  readonly source: string;
  readonly tags: readonly string[];
  readonly enabled: boolean;
  readonly condition: Expression;
  /** The output's text; it has been checked. */
  readonly output: string;
}

/** Rules that loaded, in the order in which they are evaluated. */
export interface RuleSet {
  readonly rules: readonly RuleInfo[];
  readonly macroCount: number;
  readonly listCount: number;
  /** For `createDetector` only. */
  readonly compiled: readonly CompiledRule[];
}

/** A ruleset without rules: what a failed load gives, so that nobody runs half of one by accident. */
export const emptyRuleSet: RuleSet = { rules: [], macroCount: 0, listCount: 0, compiled: [] };
