import type { Expression } from "./ast.ts";
import { canonical } from "./canonical.ts";
import type { ExceptionDefinition, ExceptionPart } from "./definitions.ts";

/** An exception of a rule as people wrote it, with operators filled in. */
export interface ExceptionInfo {
  readonly name: string;
  /** One field and one operator when the exception compares a single field with a list. */
  readonly fields: readonly string[];
  readonly comps: readonly string[];
  /** Each entry excuses events on its own: a text, or a text or list for each field. */
  readonly values: readonly ExceptionValue[];
}

export type ExceptionValue = string | readonly (string | readonly string[])[];

/** Exceptions as plain data. */
export function describeExceptions(exceptions: readonly ExceptionDefinition[]): readonly ExceptionInfo[] {
  return exceptions.map(({ name, fields, comps, values }) => ({
    name,
    fields: textsOf(fields),
    comps: textsOf(comps),
    values: values.map((value) =>
      value.kind === "text"
        ? value.text
        : value.items.map((item) => (item.kind === "text" ? item.text : textsOf(item))),
    ),
  }));
}

/**
 * The canonical condition without its exceptions. They were added as text, in parentheses, behind the condition; where a
 * condition does not end at its own parentheses the two cannot be told apart, and the whole is given.
 */
export function conditionWithoutExceptions(
  condition: Expression,
  exceptions: readonly ExceptionDefinition[],
): string {
  if (exceptions.length === 0) return canonical(condition);
  const added = exceptions.filter(({ fields, values }) => fields !== undefined && values.length > 0).length;
  const [own, ...others] = condition.kind === "and" ? condition.parts : [];
  if (added === 0 || own === undefined || others.length !== added) return canonical(condition);
  return others.every(({ kind }) => kind === "not") ? canonical(own) : canonical(condition);
}

function textsOf(part: ExceptionPart | undefined): readonly string[] {
  if (part === undefined) return [];
  if (part.kind === "text") return [part.text];
  return part.items.flatMap(textsOf);
}
