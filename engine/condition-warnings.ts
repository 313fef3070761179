import type { Check, Expression, Operand, TransformerArgument } from "./ast.ts";
import type { WarningCode } from "./findings.ts";
import type { Compat } from "./fields/field.ts";
import { bindField } from "./fields/registry.ts";
import { transformers } from "./parser.ts";
import { checksOf, referencesOf } from "./rule-reach.ts";

/** Something to warn of in a condition or an output as a whole. */
export interface Warning {
  readonly code: WarningCode;
  readonly message: string;
  readonly deprecatedField?: string;
}

const equalities: ReadonlySet<string> = new Set(["=", "==", "!=", "in", "intersects", "pmatch"]);

/** Fields that mean nothing since calls are recorded only when they return, in the order of Falco's warnings. */
const deprecatedFields = [
  "evt.dir",
  "evt.latency",
  "evt.latency.s",
  "evt.latency.ns",
  "evt.latency.human",
  "evt.wait_latency",
] as const;

/** What is wrong with a condition whether or not it compiles. */
export function conditionWarnings(condition: Expression): readonly Warning[] {
  const checks = checksOf(condition);
  const found: Warning[] = [];
  if (checks.some(isUnsafe)) found.push({ code: "LOAD_UNSAFE_NA_CHECK", message: "" });
  const names = new Set(
    checks
      .flatMap(operandsOf)
      .flatMap((operand) => referencesOf(operand))
      .map(({ name }) => name),
  );
  for (const name of deprecatedFields) {
    if (names.has(name)) found.push(deprecated(name, `'${name}' is deprecated. ${deprecatedWords(name)}`));
  }
  return found;
}

/** Names of deprecated fields in the text of an output, be they fields there or not. */
export function outputWarnings(output: string): readonly Warning[] {
  return deprecatedFields
    .filter((name) => output.includes(name))
    .map((name) =>
      deprecated(name, `usage of deprecated field '${name}' has been detected in the rule output`),
    );
}

function deprecated(name: string, message: string): Warning {
  return { code: "LOAD_DEPRECATED_ITEM", message, deprecatedField: name };
}

function deprecatedWords(name: string): string {
  if (name !== "evt.dir") return "Calls are recorded when they return, so how long they took is not known.";
  return "Calls are recorded when they return, so it is always <. Leave the check away.";
}

/** Whether a check compares a field of an audit event with what is printed when it is missing. */
function isUnsafe(check: Check): boolean {
  if (!equalities.has(check.operator) || !constantsOf(check).includes("<NA>")) return false;
  // Of several fields in a transformer call the last one decides, as in Falco.
  return /^(?:ka|jevt)\./.test(referencesOf(check.left).at(-1)?.name ?? "");
}

function operandsOf({ left, right }: Check): readonly (Operand | TransformerArgument)[] {
  return right?.kind === "field" || right?.kind === "transformer" ? [left, right] : [left];
}

/** The constant values of a check. */
export function constantsOf({ right }: Check): readonly string[] {
  if (right?.kind === "value") return [right.value];
  return right?.kind === "list" ? right.values : [];
}

/** Values of a check that are probably not what was meant. */
export function valueWarnings(check: Check, compat: Compat, source: string): readonly string[] {
  return constantsOf(check).flatMap((value) => suspicions(check.operator, value, compat, source));
}

function suspicions(operator: string, value: string, compat: Compat, source: string): readonly string[] {
  const found: string[] = [];
  if (operator === "regex" && isSimplePattern(value)) {
    const simpler = ["=", "contains", "startswith", "endswith"].map((word) => `'${word}'`).join(", ");
    found.push(`regex check with '${value}' may be optimized with simpler operators such as ${simpler}`);
  }
  const dense = value.replaceAll(/[ \t\n\v\f\r]+/g, "");
  const open = dense.indexOf("[");
  const argument = open > 0 && dense.endsWith("]") ? dense.slice(open + 1, -1) : undefined;
  if (bindField(argument === undefined ? dense : dense.slice(0, open), argument, compat, source).ok) {
    found.push(`'${value}' may be a valid field misused as a const string value`);
  }
  if (["val", ...transformers].some((name) => dense.startsWith(`${name}(`)) && dense.endsWith(")")) {
    found.push(`'${value}' may be a valid field transformer misused as a const string value`);
  }
  return found;
}

const special: ReadonlySet<string> = new Set(".+*?^$()[]{}|\\");

/**
 * Whether a pattern is fixed text but for an anchor and a repeated dot at either end. The dot must be the very first or
 * the last but one character: behind an anchor, or before one, it no longer counts as the end.
 */
function isSimplePattern(pattern: string): boolean {
  const { length } = pattern;
  for (let i = 0; i < length; i++) {
    const char = pattern.charAt(i);
    if ((i === 0 && char === "^") || (i === length - 1 && char === "$")) continue;
    const isOuter = (i === 0 && length > 1) || i === length - 2;
    if (isOuter && char === "." && "+*?".includes(pattern.charAt(i + 1))) i++;
    else if (special.has(char)) return false;
  }
  return true;
}
