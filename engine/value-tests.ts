import { parseNumber, type TypedCheck } from "./check.ts";
import type { FieldValue, Scalar } from "./fields/field.ts";
import { asciiLower, compileGlob, isAscii } from "./glob.ts";
import { SyntaxProblem } from "./lexer.ts";
import { compilePathMatch } from "./path-match.ts";
import { compileRegex } from "./regex/regex.ts";
import { specialTest } from "./special-tests.ts";
import { compareUtf8 } from "./utf8.ts";

export type ValueTest = (value: FieldValue) => boolean;

/**
 * The test that a check with constants on its right side makes of its left side. Every check of a missing value is false,
 * whatever the operator. Throws {@link SyntaxProblem} for a bad pattern.
 */
export function valueTest(check: TypedCheck): ValueTest {
  if (check.modifier !== undefined) return countingTest(check, check.modifier);
  const special = specialTest(check, valueTest);
  if (special !== undefined) return special;
  if (check.operator === "exists") return (value) => value !== undefined;
  if (check.left.isList) return listTest(check);
  if (check.left.type !== "CHARBUF") {
    const test = scalarTest(check);
    return (value) => value !== undefined && test(value as Scalar);
  }
  const only = check.values.length === 1 ? check.values[0] : undefined;
  const isEqual = ["=", "==", "in", "intersects"].includes(check.operator);
  // A missing value equals no text, so the commonest test of all needs no second look.
  if (only !== undefined && isEqual) return (value) => value === only;
  const test = textTest(check);
  return (value) => value !== undefined && test(value as string);
}

/** With a modifier each value makes a check of its own, and what counts is how many of them hold; of none, none. */
function countingTest(check: TypedCheck, modifier: string): ValueTest {
  const tests = check.values.map((value) => valueTest({ ...check, modifier: undefined, values: [value] }));
  return (value) => {
    let hits = 0;
    for (const test of tests) if (test(value)) hits++;
    if (modifier === "oneof") return hits === 1;
    return modifier === "anyof" ? hits > 0 : hits > 0 && hits === tests.length;
  };
}

function listTest({ operator, values }: TypedCheck): ValueTest {
  const wanted: ReadonlySet<unknown> = new Set(values);
  if (operator === "in") return (value) => Array.isArray(value) && value.every((item) => wanted.has(item));
  return (value) => Array.isArray(value) && value.some((item) => wanted.has(item));
}

function scalarTest({ operator, values, left }: TypedCheck): (value: Scalar) => boolean {
  const { type } = left;
  const wanted = values.map((text) => (type === "BOOL" ? text === "true" : (parseNumber(text, type) ?? 0n)));
  if (operator === "in" || operator === "intersects") return (value) => wanted.includes(value as never);
  const [only = 0n] = wanted;
  return (value) => ordered(operator, Number(value > only) - Number(value < only));
}

/** What an operator says of the order of two values. */
export function ordered(operator: string, order: number): boolean {
  switch (operator) {
    case "!=":
      return order !== 0;
    case "<":
      return order < 0;
    case "<=":
      return order <= 0;
    case ">":
      return order > 0;
    case ">=":
      return order >= 0;
    default:
      return order === 0;
  }
}

function textTest({ operator, values, at }: TypedCheck): (value: string) => boolean {
  if (operator === "in" || operator === "intersects") {
    const wanted: ReadonlySet<string> = new Set(values);
    return (value) => wanted.has(value);
  }
  if (operator === "pmatch") return compilePathMatch(values);
  const [only] = values;
  return only === undefined ? () => false : oneText(operator, only, at);
}

/** The test of one text against one wanted text. */
export function oneText(operator: string, wanted: string, at = 0): (value: string) => boolean {
  switch (operator) {
    case "=":
    case "==":
    case "in":
    case "intersects":
      return (value) => value === wanted;
    case "!=":
      return (value) => value !== wanted;
    case "contains":
      return (value) => value.includes(wanted);
    case "icontains": {
      const lower = asciiLower(wanted);
      if (!isAscii(lower)) return (value) => asciiLower(value).includes(lower);
      // Nothing that matches in lower case of A to Z alone fails to match in that of all letters, which is far quicker.
      return (value) => lowered(value).includes(lower) && asciiLower(value).includes(lower);
    }
    case "startswith":
      return (value) => value.startsWith(wanted);
    case "endswith":
      return (value) => value.endsWith(wanted);
    case "glob":
      return compileGlob(wanted, false);
    case "iglob":
      return compileGlob(wanted, true);
    case "regex": {
      const outcome = compileRegex(wanted);
      if (!outcome.ok) throw new SyntaxProblem(`invalid regex pattern: ${outcome.message}`, at);
      const { regex } = outcome;
      return (value) => regex.test(value);
    }
    default:
      return (value) => ordered(operator, compareUtf8(value, wanted));
  }
}

const keptMax = 65_536;
let lastText = "";
let lastLowered = "";

/** Rules look for one word after the other in the same text; it is put into lower case once. */
function lowered(text: string): string {
  if (text === lastText) return lastLowered;
  const lower = text.toLowerCase();
  if (text.length <= keptMax) [lastText, lastLowered] = [text, lower];
  return lower;
}
