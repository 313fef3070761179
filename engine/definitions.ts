import type { Context } from "./context.ts";
import type { Priority } from "./ruleset.ts";

/** A part of an exception: one text, or a list of such parts. */
export type ExceptionPart =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "list"; readonly items: readonly ExceptionPart[] };

export interface ExceptionDefinition {
  readonly name: string;
  /** Undefined when they are missing, and also when nothing stands there. */
  readonly fields: ExceptionPart | undefined;
  readonly comps: ExceptionPart | undefined;
  readonly values: readonly ExceptionPart[];
  readonly context: Context;
}

export interface ListDefinition {
  readonly name: string;
  readonly items: readonly string[];
  readonly context: Context;
}

export interface MacroDefinition {
  readonly name: string;
  readonly condition: string;
  readonly context: Context;
  /** Where Falco says the condition stands: in the full definition, whatever was appended later. */
  readonly conditionContext: Context;
  /** Where the latest word on the condition stands, for people. */
  readonly conditionPlace: Context;
}

export interface RuleDefinition {
  readonly name: string;
  readonly condition: string;
  readonly output: string;
  readonly desc: string;
  readonly priority: Priority;
  readonly source: string;
  readonly enabled: boolean;
  readonly tags: readonly string[];
  readonly exceptions: readonly ExceptionDefinition[];
  readonly skipIfUnknownFilter: boolean;
  /** Whether to warn of a condition that looks at too many types of event. */
  readonly warnEvttypes: boolean;
  readonly context: Context;
  readonly conditionContext: Context;
  readonly outputContext: Context;
  /** Where the latest word on the condition and the output stands, for people. */
  readonly conditionPlace: Context;
  readonly outputPlace: Context;
}

/** Parts of a rule that a later item adds to it or puts in place of it. */
export interface RuleChange {
  readonly name: string;
  readonly context: Context;
  readonly source?: string;
  readonly condition?: string;
  readonly output?: string;
  readonly desc?: string;
  readonly priority?: Priority;
  readonly enabled?: boolean;
  readonly tags?: readonly string[];
  readonly exceptions?: readonly ExceptionDefinition[];
  readonly skipIfUnknownFilter?: boolean;
  readonly warnEvttypes?: boolean;
  readonly conditionPlace?: Context;
  readonly outputPlace?: Context;
}

export interface PluginRequirement {
  readonly name: string;
  readonly version: string;
  readonly alternatives: readonly { readonly name: string; readonly version: string }[];
  readonly context: Context;
}

/**
 * A definition with its two places in the order of all files: the first decides evaluation order and who may
 * refer to it, the last decides what it may itself refer to.
 */
export interface Placed<T> {
  readonly value: T;
  readonly index: number;
  readonly visibility: number;
}
