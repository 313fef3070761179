import { parseCondition } from "./parser.ts";
import type { Position } from "./source-text.ts";
import { type Act, type ItemKind, placeIn, plainOf, type Statement } from "./statements.ts";

/** Where and how one side of a clash speaks. */
export interface ClashSide {
  readonly act: Act;
  readonly place: Position;
}

/** Two texts that say different things about one property, so that the later one wins. */
export interface Clash {
  readonly kind: ItemKind;
  readonly name: string;
  /** Undefined where a side defines the whole item. */
  readonly property: string | undefined;
  readonly one: ClashSide;
  readonly other: ClashSide;
}

/**
 * Where what is in force depends on which of two texts comes later: both replace a property with different values, one
 * replaces what the other adds to, one defines the item anew, or both add to a condition in ways that do not commute.
 * At most one for each property of an item.
 */
export function clashesOf(ones: readonly Statement[], others: readonly Statement[]): readonly Clash[] {
  const itemOf = ({ kind, name }: Statement): string => `${kind} ${name}`;
  const theirs = Map.groupBy(others, itemOf);
  return [...Map.groupBy(ones, itemOf)].flatMap(([item, mine]) => {
    const rest = theirs.get(item);
    return rest === undefined ? [] : clashesInItem(mine, rest);
  });
}

function clashesInItem(ones: readonly Statement[], others: readonly Statement[]): readonly Clash[] {
  const definition = ones.find(isDefinition);
  const other = others.find(isDefinition);
  if (definition !== undefined || other !== undefined) {
    if (isSameText(ones, others)) return [];
    const first = definition ?? ones[0];
    const second = other ?? others[0];
    return first === undefined || second === undefined ? [] : [clash(first, second, undefined)];
  }
  const clashes = new Map<string, Clash>();
  for (const one of ones) {
    for (const against of others) {
      const { property } = one;
      if (property !== against.property || clashes.has(property) || isEither(one, against)) continue;
      clashes.set(property, clash(one, against, property));
    }
  }
  return [...clashes.values()];
}

function isDefinition({ act }: Statement): boolean {
  return act === "define";
}

function isSameText(ones: readonly Statement[], others: readonly Statement[]): boolean {
  const text = (all: readonly Statement[]): string =>
    JSON.stringify(all.map(({ property, act, node }) => [property, act, plainOf(node)]));
  return text(ones) === text(others);
}

function clash(one: Statement, other: Statement, property: string | undefined): Clash {
  const side = (statement: Statement): ClashSide => ({
    act: statement.act,
    place: placeIn(statement, property === undefined ? statement.item : statement.node),
  });
  return { kind: one.kind, name: one.name, property, one: side(one), other: side(other) };
}

/** Whether both orders come to the same. */
function isEither(one: Statement, other: Statement): boolean {
  if (one.act !== other.act) return false;
  const same = JSON.stringify(plainOf(one.node)) === JSON.stringify(plainOf(other.node));
  if (one.act === "replace" || same) return same;
  // Lists, tags and exceptions are sets, and the order of words in a text changes no detection.
  if (one.property !== "condition") return true;
  const joints = [jointOf(one), jointOf(other)];
  return joints[0] !== undefined && joints[0] === joints[1];
}

/**
 * How a text is joined to the condition before it: as operands of `and`, or of `or`. Undefined where it takes that condition
 * apart, as `and A or B` does, or does not go on from it.
 */
function jointOf({ node }: Statement): "and" | "or" | undefined {
  const added = node.kind === "scalar" ? node.text : "";
  const outcome = parseCondition(`ka.verb exists ${added}`);
  if (!outcome.ok) return undefined;
  const { expression } = outcome;
  if (expression.kind === "and") return "and";
  return expression.kind === "or" && expression.parts[0]?.kind === "check" ? "or" : undefined;
}
