import type { ExceptionDefinition, ExceptionPart } from "./definitions.ts";
import type { Compat } from "./fields/field.ts";
import { bindField } from "./fields/registry.ts";
import { type Context, LoadProblem } from "./findings.ts";
import { SyntaxProblem } from "./lexer.ts";
import { listOperators, operators, parseTransformerAt, stringOperators } from "./parser.ts";
import { resolveOperand } from "./resolve-operand.ts";

const ofLists: ReadonlySet<string> = new Set(listOperators);

function invalid(message: string, context: Context): never {
  throw new LoadProblem("LOAD_ERR_VALIDATE", message, context);
}

const scalarComps =
  "When fields is a single value, comps must be one of (in, pmatch, intersects) or a modifier operator (e.g. startswith oneof)";

/** Checks fields and operators of an exception and fills in the operators that were left out. */
export function validateException(
  exception: ExceptionDefinition,
  compat: Compat,
  source: string,
): ExceptionDefinition {
  const { fields, comps, context } = exception;
  if (fields === undefined) {
    return invalid("Rule exception must have fields property with a list of fields", context);
  }
  if (fields.kind === "text") {
    const only = comps ?? { kind: "text", text: "in" };
    if (only.kind !== "text") return invalid("Fields and comps must both be strings", context);
    if (!ofLists.has(only.text) && !isModified(only.text)) invalid(scalarComps, context);
    checkField(fields.text, compat, source, context);
    return { ...exception, comps: only };
  }
  const all = comps ?? {
    kind: "list",
    items: fields.items.map((): ExceptionPart => ({ kind: "text", text: "=" })),
  };
  if (all.kind !== "list") return invalid("Fields and comps must both be lists", context);
  if (all.items.length !== fields.items.length) {
    invalid("Fields and comps lists must have equal length", context);
  }
  for (const comp of all.items) {
    const name = plainText(comp, context);
    if (!operators.includes(name) && !isModified(name)) {
      invalid(`'${name}' is not a supported comparison operator`, context);
    }
  }
  for (const field of fields.items) checkField(plainText(field, context), compat, source, context);
  return { ...exception, comps: all };
}

/** Whether an operator is a string operator with a modifier, such as `startswith oneof`. */
function isModified(text: string): boolean {
  const [operator = "", modifier = "", ...more] = text.split(/\s+/);
  return more.length === 0 && stringOperators.includes(operator) && /^(?:oneof|anyof|allof)$/.test(modifier);
}

function checkField(text: string, compat: Compat, source: string, context: Context): void {
  const unknown = `'${text}' is not a supported filter field`;
  const call = parseTransformerAt(text, 0);
  if (call !== undefined) {
    try {
      resolveOperand(call.call, compat);
    } catch (error) {
      if (!(error instanceof SyntaxProblem)) throw error;
      invalid(`${unknown}: ${error.message}`, context);
    }
    return;
  }
  const open = text.indexOf("[");
  const argument = open >= 0 && text.endsWith("]") ? text.slice(open + 1, -1) : undefined;
  const outcome = bindField(argument === undefined ? text : text.slice(0, open), argument, compat, source);
  if (!outcome.ok) invalid(unknown, context);
}

function plainText(part: ExceptionPart, context: Context): string {
  return part.kind === "text" ? part.text : invalid("Expected a string, not a list", context);
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
  const operatorsOf = comps?.kind === "list" ? comps.items : [];
  const tuples = values.map((tuple) => {
    const items = tuple.kind === "list" ? tuple.items : [];
    if (items.length !== fields.items.length) {
      invalid("Fields and values lists must have equal length", context);
    }
    const checks = fields.items.map((field, k) => {
      const operator = plainText(operatorsOf[k] ?? { kind: "text", text: "=" }, context);
      return ` ${plainText(field, context)} ${operator} ${valueText(items[k], operator, context)}`;
    });
    return `(${checks.join(" and ")})`;
  });
  return `(${tuples.join(" or ")})`;
}

function valueText(value: ExceptionPart | undefined, operator: string, context: Context): string {
  if (value === undefined) return "";
  if (value.kind === "list") {
    return `(${value.items.map((item) => quoted(plainText(item, context))).join(", ")})`;
  }
  const wantsList = ofLists.has(operator) || isModified(operator);
  if (!wantsList) return quoted(value.text);
  return value.text.startsWith("(") ? value.text : `(${value.text})`;
}

/** Only a blank makes quotes necessary here; anything else is left as syntax. */
export function quoted(text: string): string {
  return text.includes(" ") && !text.startsWith('"') && !text.startsWith("'") ? `"${text}"` : text;
}
