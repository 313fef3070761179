import type { Context } from "./context.ts";
import type { ExceptionDefinition, ExceptionPart } from "./definitions.ts";
import { typeCheck } from "./check.ts";
import type { Compat } from "./fields/field.ts";
import { bindField, isUnknownField } from "./fields/registry.ts";
import { LoadProblem } from "./findings.ts";
import { SyntaxProblem } from "./lexer.ts";
import { listOperators, operators, parseCondition, stringOperators } from "./parser.ts";
import { checksOf } from "./rule-reach.ts";

const ofLists: ReadonlySet<string> = new Set(listOperators);

function invalid(message: string, context: Context): never {
  throw new LoadProblem("LOAD_ERR_VALIDATE", message, context);
}

const scalarComps =
  "When fields is a single value, comps must be one of (in, pmatch, intersects) or a modifier operator (e.g. startswith oneof)";

/** Fills in the operators that were left out, and refuses a number of them that does not go with the fields. */
export function defaultComps(exception: ExceptionDefinition): ExceptionDefinition {
  const { fields, comps, context } = exception;
  if (fields?.kind !== "list") {
    return comps === undefined ? { ...exception, comps: textPart("in") } : exception;
  }
  const all = comps ?? { kind: "list", items: fields.items.map(() => textPart("=")) };
  if (all.kind !== "list" || all.items.length !== fields.items.length) {
    invalid("Fields and comps lists must have equal length", context);
  }
  return { ...exception, comps: all };
}

const textPart = (text: string): ExceptionPart => ({ kind: "text", text });

/**
 * Checks operators and fields of an exception and fills in the operators that were left out. Fields of an unknown
 * source are not looked up.
 */
export function validateException(
  exception: ExceptionDefinition,
  compat: Compat,
  source: string | undefined,
): ExceptionDefinition {
  const whole = defaultComps(exception);
  const { fields, comps, context } = whole;
  if (fields?.kind === "list") {
    for (const name of itemsOf(comps)) {
      if (!operators.includes(name) && !isModified(name)) {
        invalid(`'${name}' is not a supported comparison operator`, context);
      }
    }
  } else if (comps?.kind === "list") {
    invalid("Fields and comps must both be strings", context);
  } else if (comps !== undefined && !ofLists.has(comps.text) && !isModified(comps.text)) {
    invalid(scalarComps, context);
  }
  if (source === undefined) return whole;
  for (const field of fields?.kind === "list" ? itemsOf(fields) : [textOf(fields)]) {
    checkField(field, compat, source, context);
  }
  return whole;
}

/** Whether an operator is a string operator with a modifier, such as `startswith oneof`. */
function isModified(text: string): boolean {
  const [operator = "", modifier = "", ...more] = text.split(/\s+/);
  return more.length === 0 && stringOperators.includes(operator) && /^(?:oneof|anyof|allof)$/.test(modifier);
}

function checkField(text: string, compat: Compat, source: string, context: Context): void {
  const unknown = `'${text}' is not a supported filter field`;
  if (text.includes("(")) {
    if (!isOperand(text, compat, source)) invalid(unknown, context);
    return;
  }
  const open = text.indexOf("[");
  const argument = open >= 0 && text.endsWith("]") ? text.slice(open + 1, -1) : undefined;
  const outcome = bindField(argument === undefined ? text : text.slice(0, open), argument, compat, source);
  if (outcome.ok) return;
  if (isUnknownField(outcome)) invalid(unknown, context);
  // A field that exists but lacks its argument is reported of the file as a whole.
  invalid(outcome.message, context.root);
}

/** Whether a text can stand before an operator, tried with the one that takes everything. */
function isOperand(text: string, compat: Compat, source: string): boolean {
  const outcome = parseCondition(`${text} exists`);
  if (!outcome.ok) return false;
  try {
    for (const check of checksOf(outcome.expression)) typeCheck(check, compat, source);
    return true;
  } catch (error) {
    if (!(error instanceof SyntaxProblem)) throw error;
    return false;
  }
}

/** A list has no text of its own. */
function textOf(part: ExceptionPart | undefined): string {
  return part?.kind === "text" ? part.text : "";
}

function itemsOf(part: ExceptionPart | undefined): readonly string[] {
  return part?.kind === "list" ? part.items.map(textOf) : [];
}

/**
 * Splices exceptions into the text of a condition. Values become filter syntax on purpose, so that the name
 * of a list or a transformer call works as a value.
 */
export function withExceptions(condition: string, exceptions: readonly ExceptionDefinition[]): string {
  if (exceptions.length === 0) return condition;
  return [`(${condition})`, ...exceptions.map(expand).filter((text) => text !== "")].join(" and not ");
}

function expand({ fields, comps, values, context }: ExceptionDefinition): string {
  if (values.length === 0 || fields === undefined) return "";
  if (fields.kind === "text") {
    const items = values.map((value) =>
      value.kind === "text"
        ? quoted(value.text)
        : invalid("Expected values array to contain a list of strings", context),
    );
    return `(${fields.text} ${comps?.kind === "text" ? comps.text : ""} (${items.join(", ")}))`;
  }
  const operatorsOf = itemsOf(comps);
  const tuples = values.map((tuple) => {
    const items = tuple.kind === "list" ? tuple.items : [];
    if (items.length !== fields.items.length) {
      invalid("Fields and values lists must have equal length", context);
    }
    const checks = fields.items.map((field, k) => {
      const operator = operatorsOf[k] ?? "=";
      return ` ${textOf(field)} ${operator} ${valueText(items[k], operator)}`;
    });
    return `(${checks.join(" and ")})`;
  });
  return `(${tuples.join(" or ")})`;
}

function valueText(value: ExceptionPart | undefined, operator: string): string {
  if (value === undefined) return "";
  if (value.kind === "list") return `(${itemsOf(value).map(quoted).join(", ")})`;
  const wantsList = ofLists.has(operator) || isModified(operator);
  if (!wantsList) return quoted(value.text);
  return value.text.startsWith("(") ? value.text : `(${value.text})`;
}

/** Only a blank makes quotes necessary here; anything else is left as syntax. */
export function quoted(text: string): string {
  return text.includes(" ") && !text.startsWith('"') && !text.startsWith("'") ? `"${text}"` : text;
}
