import { type Check, lastPlace } from "./ast.ts";
import { addressProblem } from "./address-match.ts";
import type { Compat, FieldType } from "./fields/field.ts";
import { SyntaxProblem } from "./lexer.ts";
import { isUsedAlone, resolveOperand, type ResolvedOperand } from "./resolve-operand.ts";
import { typeText } from "./transformers.ts";
import { utf8Length } from "./utf8.ts";

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
    throw new SyntaxProblem(`operator '${operator}' doesn't support right-hand side fields`, at);
  }
  const alone = [left, right].find(({ fields }) => fields.some(isUsedAlone));
  if (alone !== undefined) {
    const why =
      alone === left ? "doesn't support right-hand side fields" : "can't be used as a right-hand side field";
    throw new SyntaxProblem(`field '${alone.text}' ${why}`, at);
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

/** Falco takes no longer text, either. */
const valueBytesMax = 255;

function checkLiterals(type: FieldType, values: readonly string[], at: number): void {
  for (const value of values) {
    const problem = literalProblem(type, value);
    if (problem !== undefined) throw new SyntaxProblem(problem, at);
  }
}

function literalProblem(type: FieldType, value: string): string | undefined {
  if (type === "CHARBUF") {
    return utf8Length(value) > valueBytesMax ? `filter parameter too long:${value}` : undefined;
  }
  if (type === "IPADDR" || type === "IPNET") return addressProblem(type, value);
  if (type === "BOOL") {
    return value === "true" || value === "false"
      ? undefined
      : `filter error: unrecognized boolean value ${value}`;
  }
  if (parseNumber(value, type) !== undefined) return undefined;
  return type === "PORT" ? `unrecognized protocol ${value}` : `${value} is not a valid number`;
}

/**
 * A whole decimal number as C's `scanf` reads it: a number too large for 64 bits is the largest, and a negative one of a type
 * without a sign counts from the top. The condition language has hexadecimal literals, but no type takes them.
 */
export function parseNumber(text: string, type: FieldType): bigint | undefined {
  const digits = /^[ \t\n\v\f\r]*([+-]?)0*([0-9]{1,64})$/.exec(text);
  if (digits === null) return undefined;
  const [, sign, magnitude = ""] = digits;
  const value = BigInt(magnitude);
  if (type === "INT64" || type === "INT32") {
    const signed = sign === "-" ? -value : value;
    const held = signed > int64Max ? int64Max : signed < -int64Max - 1n ? -int64Max - 1n : signed;
    return type === "INT32" ? BigInt.asIntN(32, held) : held;
  }
  if (type === "PORT") return sign === "" && value <= 65_535n ? value : undefined;
  const held = value > uint64Max ? uint64Max : BigInt.asUintN(64, sign === "-" ? -value : value);
  return type === "UINT32" ? BigInt.asUintN(32, held) : held;
}

const int64Max = 2n ** 63n - 1n;
const uint64Max = 2n ** 64n - 1n;
