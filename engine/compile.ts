import type { Expression } from "./ast.ts";
import { parseNumber, typeCheck, type TypedCheck } from "./check.ts";
import type { Compat, EventView, Extract, FieldValue, Scalar } from "./fields/field.ts";
import type { BoundField } from "./fields/registry.ts";
import { asciiLower, compileGlob } from "./glob.ts";
import { SyntaxProblem } from "./lexer.ts";
import { compilePathMatch } from "./path-match.ts";
import { compileRegex } from "./posix-regex.ts";
import type { ResolvedOperand } from "./resolve-operand.ts";
import { findTransformer, valuesOf } from "./transformers.ts";
import { compareUtf8 } from "./utf8.ts";

export type Predicate = (frame: Frame) => boolean;
export type Read = (frame: Frame) => FieldValue;

/** The one event that is looked at, and what has been read of it so far. */
export interface Frame {
  event: EventView;
  /** Changes with every event; a value counts only when it was stored under the present stamp. */
  stamp: number;
  readonly values: FieldValue[];
  readonly stamps: number[];
}

/**
 * Gives each field one place for all rules, so that ten rules which look at the verb read it once per event
 * and a field no rule reaches is never read.
 */
export class Slots {
  private readonly places: Map<string, number>;

  constructor() {
    this.places = new Map();
  }

  read({ key, extract }: BoundField): Read {
    const place = this.places.get(key) ?? this.places.size;
    this.places.set(key, place);
    return (frame) => {
      if (frame.stamps[place] === frame.stamp) return frame.values[place];
      const value = present(extract, frame.event);
      frame.values[place] = value;
      frame.stamps[place] = frame.stamp;
      return value;
    };
  }
}

/** A list without elements is a missing field. */
function present(extract: Extract, event: EventView): FieldValue {
  const value = extract(event);
  return Array.isArray(value) && value.length === 0 ? undefined : value;
}

/**
 * Turns a condition without macro names into a function once, so that evaluating an event only calls
 * functions. Throws {@link SyntaxProblem} for an unknown field, a wrong operator or a bad value.
 */
export function compileCondition(condition: Expression, slots: Slots, compat: Compat): Predicate {
  switch (condition.kind) {
    case "and": {
      const parts = condition.parts.map((part) => compileCondition(part, slots, compat));
      return (frame) => parts.every((part) => part(frame));
    }
    case "or": {
      const parts = condition.parts.map((part) => compileCondition(part, slots, compat));
      return (frame) => parts.some((part) => part(frame));
    }
    case "not": {
      const part = compileCondition(condition.part, slots, compat);
      return (frame) => !part(frame);
    }
    case "check":
      return compileCheck(typeCheck(condition, compat), slots);
    case "identifier":
      throw new SyntaxProblem(`filter error: unexpected identifier '${condition.name}'`, condition.at);
  }
}

/** A function that reads a field or works out a transformer call. */
export function compileOperand(operand: ResolvedOperand, slots: Slots): Read {
  const { source } = operand;
  switch (source.kind) {
    case "field":
      return slots.read(source.field);
    case "literal":
      return () => source.value;
    case "group": {
      const items = source.items.map((item) => compileOperand(item, slots));
      return (frame) => {
        const values = items.map((item) => item(frame));
        return values.some((value) => value === undefined) ? undefined : (values as Scalar[]);
      };
    }
    case "call": {
      const args = source.args.map((arg) => compileOperand(arg, slots));
      const transformer = findTransformer(source.name);
      if (transformer === undefined) {
        throw new Error(`transformer '${source.name}' was resolved but does not exist`);
      }
      return (frame) => transformer.apply(args.map((arg) => arg(frame)));
    }
  }
}

/** Every check of a missing field is false, whatever the operator. */
function compileCheck(check: TypedCheck, slots: Slots): Predicate {
  const left = compileOperand(check.left, slots);
  if (check.operator === "exists") return (frame) => left(frame) !== undefined;
  if (check.right !== undefined) return compareOperands(check, left, compileOperand(check.right, slots));
  if (check.left.isList) return compareList(check, left);
  const test = check.left.type === "CHARBUF" ? textTest(check) : scalarTest(check);
  return (frame) => {
    const value = left(frame);
    return value !== undefined && test(value as never);
  };
}

function compareList({ operator, values }: TypedCheck, left: Read): Predicate {
  const wanted: ReadonlySet<unknown> = new Set(values);
  return (frame) => {
    const value = left(frame);
    if (!Array.isArray(value)) return false;
    return operator === "in"
      ? value.every((item) => wanted.has(item))
      : value.some((item) => wanted.has(item));
  };
}

function compareOperands({ operator, left: { isList } }: TypedCheck, left: Read, right: Read): Predicate {
  return (frame) => {
    const a = left(frame);
    const b = right(frame);
    if (a === undefined || b === undefined) return false;
    if (isList) {
      const wanted = new Set(valuesOf(b));
      const items = valuesOf(a);
      return operator === "in"
        ? items.every((item) => wanted.has(item))
        : items.some((item) => wanted.has(item));
    }
    const scalar = b as Scalar;
    return typeof scalar === "string"
      ? oneText(operator, scalar)(String(a))
      : ordered(operator, Number((a as Scalar) > scalar) - Number((a as Scalar) < scalar));
  };
}

function scalarTest({ operator, values, left }: TypedCheck): (value: Scalar) => boolean {
  const wanted = values.map((text) => (left.type === "BOOL" ? text === "true" : (parseNumber(text) ?? 0n)));
  if (operator === "in" || operator === "intersects") return (value) => wanted.includes(value as never);
  const [only = 0n] = wanted;
  return (value) => ordered(operator, Number(value > only) - Number(value < only));
}

function ordered(operator: string, order: number): boolean {
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

function textTest({ operator, modifier, values, at }: TypedCheck): (value: string) => boolean {
  if (operator === "in" || operator === "intersects") {
    const wanted: ReadonlySet<string> = new Set(values);
    return (value) => wanted.has(value);
  }
  if (operator === "pmatch") return compilePathMatch(values);
  const tests = values.map((value) => oneText(operator, value, at));
  if (modifier === undefined) return tests[0] ?? (() => false);
  return (value) => {
    let hits = 0;
    for (const test of tests) if (test(value)) hits++;
    if (modifier === "oneof") return hits === 1;
    return modifier === "anyof" ? hits > 0 : hits > 0 && hits === tests.length;
  };
}

/** The test of one text against one wanted text. */
function oneText(operator: string, wanted: string, at = 0): (value: string) => boolean {
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
      return (value) => asciiLower(value).includes(lower);
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
      return outcome.test;
    }
    default:
      return (value) => ordered(operator, compareUtf8(value, wanted));
  }
}
