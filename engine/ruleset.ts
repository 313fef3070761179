import type { Expression } from "./ast.ts";
import type { ExceptionInfo } from "./exception-info.ts";

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
  /** The same without exceptions. */
  readonly ownCondition: string;
  readonly exceptions: readonly ExceptionInfo[];
  readonly output: string;
}

/** A field that configuration adds to the alerts of a rule: a field's own value, or a text with fields in it. */
export interface ExtraField {
  readonly key: string;
  /** An output; `%` and the key for a field's own value. It has been checked. */
  readonly format: string;
  /** Whether the value keeps its type and a missing one is null. */
  readonly isRaw: boolean;
}

/** A rule ready for a detector: plain data, so that it can be handed to another thread. */
export interface CompiledRule {
  readonly name: string;
  readonly priority: Priority;
  readonly source: string;
  readonly tags: readonly string[];
  readonly enabled: boolean;
  readonly condition: Expression;
  /** The output's text with what is appended to it; it has been checked. */
  readonly output: string;
  /** Fields an alert lists besides those of its output. */
  readonly extraFields?: readonly ExtraField[];
}

/** Rules that loaded, in the order in which they are evaluated. */
export interface RuleSet {
  readonly rules: readonly RuleInfo[];
  readonly macroCount: number;
  readonly listCount: number;
  /** What `static.*` fields hold, by name. */
  readonly statics?: Readonly<Record<string, string>>;
  /** For `createDetector` only. */
  readonly compiled: readonly CompiledRule[];
}

/** A ruleset without rules: what a failed load gives, so that nobody runs half of one by accident. */
export const emptyRuleSet: RuleSet = { rules: [], macroCount: 0, listCount: 0, compiled: [] };
