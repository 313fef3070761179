import { type Check, lastPlace } from "./ast.ts";
import { addressProblem } from "./address-match.ts";
import type { Compat, FieldType } from "./fields/field.ts";
import { SyntaxProblem } from "./lexer.ts";
import { resolveOperand, type ResolvedOperand } from "./resolve-operand.ts";
import { typeText } from "./transformers.ts";

/** A check whose fields, types, operator and values fit together. */
export interface TypedCheck {
  readonly left: ResolvedOperand;
  readonly operator: string;
  readonly modifier: Check["modifier"];
  /** Constant values; empty when the right side is an operand. */
  readonly values: readonly string[];
  readonly right: ResolvedOperand | undefined;
  /** Where the right side stands, for messages about it. */
  readonly at: number;
}

const ofLists: ReadonlySet<string> = new Set(["in", "intersects", "exists"]);
const ofNumbers: ReadonlySet<string> = new Set([
  "=",
  "==",
  "!=",
  "<",
  "<=",
  ">",
  ">=",
  "in",
  "intersects",
  "exists",
]);
const ofFlags: ReadonlySet<string> = new Set(["=", "==", "!=", "in", "intersects", "exists"]);
const notOfTexts: ReadonlySet<string> = new Set(["bcontains", "bstartswith"]);

/**
 * Checks one comparison. Throws {@link SyntaxProblem} with Falco's words at the culprit. With a source, fields of other
 * sources do not exist.
 */
export function typeCheck(check: Check, compat: Compat, source?: string): TypedCheck {
  const left = resolveOperand(check.left, compat, source);
  const problem = operatorProblem(left, check.operator);
  if (problem !== undefined) throw new SyntaxProblem(problem, lastPlace(check.left));
  const { operator, modifier, right } = check;
  const at = right?.at ?? check.at;
  if (right === undefined) return { left, operator, modifier, values: [], right: undefined, at };
  if (right.kind === "value" || right.kind === "list") {
    const values = right.kind === "value" ? [right.value] : right.values;
    checkLiterals(left.type, values, at);
    return { left, operator, modifier, values, right: undefined, at };
  }
  const other = resolveOperand(right, compat, source);
  checkRight(left, operator, other, lastPlace(right));
  if (modifier !== undefined) throw new SyntaxProblem(`'${modifier}' needs a list of values`, at);
  return { left, operator, modifier, values: [], right: other, at };
}

function operatorProblem(left: ResolvedOperand, operator: string): string | undefined {
  // A value that is never there needs no type; Falco knows it, and its rules are checked there.
  if (isUnavailable(left)) return undefined;
  const problem = `filter error: '${operator}' operator not supported`;
  if (left.isList) return ofLists.has(operator) ? undefined : `${problem} list filters`;
  switch (left.type) {
    case "CHARBUF":
      return notOfTexts.has(operator) ? `${problem} for string filters` : undefined;
    case "BOOL":
      return ofFlags.has(operator) ? undefined : `${problem} for bool filters`;
    case "IPADDR":
    case "IPNET":
      return ofFlags.has(operator) ? undefined : `${problem} for IP address filters`;
    case "UINT64":
    case "UINT32":
    case "INT64":
    case "INT32":
    case "PORT":
    case "ABSTIME":
    case "RELTIME":
      return ofNumbers.has(operator) ? undefined : `${problem} for numeric filters`;
  }
}

function checkRight(left: ResolvedOperand, operator: string, right: ResolvedOperand, at: number): void {
  if (operator === "pmatch" || operator === "regex") {
    throw new SyntaxProblem(
      `filter error: '${operator}' operator does not support a right-hand side field`,
      at,
    );
  }
  if (left.type === right.type && left.isList === right.isList) return;
  if (isUnavailable(left) || isUnavailable(right)) return;
  const [mine, theirs] = [typeText(left.type, left.isList), typeText(right.type, right.isList)];
  throw new SyntaxProblem(
    `field '${left.text}' has type '${mine}' while the right-hand side field '${right.text}' has incompatible type '${theirs}'`,
    at,
  );
}

function isUnavailable({ fields }: ResolvedOperand): boolean {
  return fields.some(({ definition }) => definition.unavailable !== undefined);
}

function checkLiterals(type: FieldType, values: readonly string[], at: number): void {
  if (type === "CHARBUF") return;
  for (const value of values) {
    if (type === "IPADDR" || type === "IPNET") {
      const problem = addressProblem(type, value);
      if (problem !== undefined) throw new SyntaxProblem(`filter error: ${problem}`, at);
      continue;
    }
    if (type === "BOOL" && value !== "true" && value !== "false") {
      throw new SyntaxProblem(`filter error: unrecognized boolean value '${value}'`, at);
    }
    if (type !== "BOOL" && parseNumber(value) === undefined) {
      throw new SyntaxProblem(`${value} is not a valid number`, at);
    }
  }
}

/** A whole number in decimal or, after 0x, in hexadecimal. */
export function parseNumber(text: string): bigint | undefined {
  if (text.length > 32) return undefined;
  if (/^0[xX][0-9a-fA-F]+$/.test(text)) return BigInt(text);
  return /^[+-]?[0-9]+$/.test(text) ? BigInt(text.replace("+", "")) : undefined;
}
