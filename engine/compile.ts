import type { Expression } from "./ast.ts";
import { typeCheck, type TypedCheck } from "./check.ts";
import type { Compat, EventView, Extract, FieldValue, Scalar } from "./fields/field.ts";
import { arrayIndex } from "./fields/path.ts";
import type { BoundField } from "./fields/registry.ts";
import { FieldWords } from "./field-words.ts";
import { kinds } from "./json/document.ts";
import { Symbols } from "./json/symbols.ts";
import { valueText } from "./json/text.ts";
import { SyntaxProblem } from "./lexer.ts";
import type { ResolvedOperand } from "./resolve-operand.ts";
import { findTransformer, valuesOf } from "./transformers.ts";
import { oneText, ordered, valueTest } from "./value-tests.ts";

export type Predicate = (frame: Frame) => boolean;
export type Read = (frame: Frame) => FieldValue;
export type ReadNode = (frame: Frame) => number;
export type ReadNodes = (frame: Frame) => readonly number[];

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
  private readonly nodes: Map<string, ReadNode>;
  private readonly lists: Map<string, ReadNodes>;
  private readonly wordsByKey: Map<string, FieldWords>;

  constructor() {
    this.places = new Map();
    this.nodes = new Map();
    this.lists = new Map();
    this.wordsByKey = new Map();
  }

  /** Where the text of a field stands in the event, or -1; undefined for a field that is not one text at a fixed place. */
  node({ definition: { path, pointer }, argument }: BoundField): ReadNode | undefined {
    if (path !== undefined) return this.nodeAt(path, auditRoot);
    return pointer && this.nodeAt(pointer(argument), anyRoot);
  }

  /** Steps of a path are shared, too: whoever asks for the resource has found the object of the namespace. */
  private nodeAt(path: readonly string[], root: ReadNode): ReadNode {
    const key = JSON.stringify([root === auditRoot, path]);
    const known = this.nodes.get(key);
    if (known !== undefined) return known;
    const last = path.at(-1) ?? "";
    const index = arrayIndex(last);
    const above = path.length > 1 ? this.nodeAt(path.slice(0, -1), root) : root;
    let stamp = -1;
    let node = -1;
    const read: ReadNode = (frame) => {
      if (frame.stamp !== stamp) {
        const from = above(frame);
        const { tape } = frame.event;
        if (from < 0) node = -1;
        else if (index >= 0 && tape.kind(from) === kinds.array) node = tape.element(from, index);
        else node = tape.member(from, last);
        stamp = frame.stamp;
      }
      return node;
    };
    this.nodes.set(key, read);
    return read;
  }

  /** The words that rules look for in a field; undefined for a field that is not one text at a fixed place. */
  words(field: BoundField): FieldWords | undefined {
    const node = this.node(field);
    if (node === undefined) return undefined;
    const known = this.wordsByKey.get(field.key);
    if (known !== undefined) return known;
    const made = new FieldWords(node, this.read(field));
    this.wordsByKey.set(field.key, made);
    return made;
  }

  /** Where the texts of a list stand in the event; undefined for a field that is no such list. */
  list({ definition: { nodes }, argument, key }: BoundField): ReadNodes | undefined {
    if (nodes === undefined) return undefined;
    const known = this.lists.get(key);
    if (known !== undefined) return known;
    const find = nodes(argument);
    let stamp = -1;
    let found: readonly number[] = [];
    const read: ReadNodes = (frame) => {
      if (frame.stamp !== stamp) {
        found = find(frame.event)?.filter((node) => node >= 0) ?? none;
        stamp = frame.stamp;
      }
      return found;
    };
    this.lists.set(key, read);
    return read;
  }

  read(field: BoundField): Read {
    const { key, extract } = field;
    const place = this.places.get(key) ?? this.places.size;
    this.places.set(key, place);
    const node = this.node(field);
    return (frame) => {
      if (frame.stamps[place] === frame.stamp) return frame.values[place];
      const value = node === undefined ? present(extract, frame.event) : textOf(node(frame), frame.event);
      frame.values[place] = value;
      frame.stamps[place] = frame.stamp;
      return value;
    };
  }
}

const none: readonly number[] = [];

const anyRoot: ReadNode = ({ event }) => event.root;
const auditRoot: ReadNode = ({ event }) => (event.isAudit ? event.root : -1);

function textOf(node: number, { tape }: EventView): string | undefined {
  return node < 0 ? undefined : valueText(tape, node);
}

/** A list without elements is a missing field. */
function present(extract: Extract, event: EventView): FieldValue {
  const value = extract(event);
  return Array.isArray(value) && value.length === 0 ? undefined : value;
}

/**
 * Turns a condition without macro names into a function, part by part as it is written: the plain meaning of the language,
 * which a `RuleIndex` reaches faster. Throws {@link SyntaxProblem} for an unknown field, a wrong operator or a bad value.
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
        return values.some((value) => value === undefined) ? undefined : values.map(String);
      };
    }
    case "call": {
      const args = source.args.map((arg) => compileOperand(arg, slots));
      const transformer = findTransformer(source.name, source.argument);
      if (transformer === undefined) {
        throw new Error(`transformer '${source.name}' was resolved but does not exist`);
      }
      return (frame) => transformer.apply(args.map((arg) => arg(frame)));
    }
  }
}

/** Every check of a missing field is false, whatever the operator. */
export function compileCheck(check: TypedCheck, slots: Slots): Predicate {
  const inPlace = compileInPlace(check, slots);
  if (inPlace !== undefined) return inPlace;
  const left = compileOperand(check.left, slots);
  if (check.right !== undefined) return compareOperands(check, left, compileOperand(check.right, slots));
  const test = valueTest(check);
  return (frame) => test(left(frame));
}

/** A check that compares the text where it lies, so that no string is made of it; undefined where that can not be done. */
function compileInPlace(
  { left, operator, modifier, values, right }: TypedCheck,
  slots: Slots,
): Predicate | undefined {
  if (left.source.kind !== "field" || modifier !== undefined || right !== undefined) return undefined;
  if (left.isList) return compileListInPlace(left.source.field, operator, values, slots);
  const node = slots.node(left.source.field);
  if (node === undefined) return undefined;
  const [only = ""] = values;
  switch (operator) {
    case "exists":
      return (frame) => node(frame) >= 0;
    case "startswith":
      return (frame) => {
        const at = node(frame);
        return at >= 0 && frame.event.tape.startsWith(at, only);
      };
    case "contains":
    case "icontains":
      return slots.words(left.source.field)?.add(operator, only);
    case "=":
    case "==":
    case "!=":
    case "in":
    case "intersects": {
      const symbols = new Symbols(values);
      const isWanted = operator !== "!=";
      return (frame) => {
        const at = node(frame);
        return at >= 0 && frame.event.tape.symbol(at, symbols) >= 0 === isWanted;
      };
    }
    default:
      return undefined;
  }
}

function compileListInPlace(
  field: BoundField,
  operator: string,
  values: readonly string[],
  slots: Slots,
): Predicate | undefined {
  const list = slots.list(field);
  if (list === undefined) return undefined;
  const symbols = new Symbols(values);
  switch (operator) {
    case "exists":
      return (frame) => list(frame).length > 0;
    case "intersects":
      return (frame) => {
        for (const node of list(frame)) if (frame.event.tape.symbol(node, symbols) >= 0) return true;
        return false;
      };
    case "in":
      return (frame) => {
        const nodes = list(frame);
        for (const node of nodes) if (frame.event.tape.symbol(node, symbols) < 0) return false;
        return nodes.length > 0;
      };
    default:
      return undefined;
  }
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
