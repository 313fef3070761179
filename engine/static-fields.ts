import type { Check } from "./ast.ts";
import { SyntaxProblem } from "./lexer.ts";
import type { OutputTemplate } from "./output.ts";
import { fieldsIn } from "./probe.ts";

/** Texts by name that rules read as `static.NAME`. A name is a word of letters, digits and underscores. */
export type StaticFields = Readonly<Record<string, string>>;

/** The fields of a configuration, as rules write them, in alphabetical order. */
export function staticFieldNames(statics: StaticFields): readonly string[] {
  return Object.keys(statics)
    .sort()
    .map((name) => `static.${name}`);
}

/** Checks that configuration gives each `static.` field of a check. Throws {@link SyntaxProblem} at the culprit. */
export function checkStatics(check: Check, names: readonly string[]): void {
  for (const field of fieldsIn(check)) {
    if (field.kind !== "field") continue;
    const key = field.argument === undefined ? field.name : `${field.name}[${field.argument}]`;
    if (!isUnknown(key, names)) continue;
    throw new SyntaxProblem(`filter_check called with nonexistent field ${key}`, field.at);
  }
}

/** What is wrong with an output that prints a `static.` field which no configuration gives. */
export function unknownStaticIn({ parts }: OutputTemplate, names: readonly string[]): string | undefined {
  const unknown = parts
    .flatMap((part) => (part.kind === "field" ? part.operand.fields : []))
    .find(({ key }) => isUnknown(key, names));
  return unknown && `unknown filter: '${unknown.key}' is none of the static fields of the configuration`;
}

const isUnknown = (key: string, names: readonly string[]): boolean =>
  /^static[.[]/.test(key) && !names.includes(key);
