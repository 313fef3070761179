import type { Check, Expression, Operand, TransformerArgument } from "./ast.ts";
import { typeCheck, type TypedCheck } from "./check.ts";
import { compileCheck, type Predicate, type Slots } from "./compile.ts";
import type { Compat } from "./fields/field.ts";
import type { ResolvedOperand } from "./resolve-operand.ts";

/** A condition in which equal parts are one and the same node, whatever rules they stand in. */
export type ConditionNode = CheckNode | PartsNode | ConstantNode;

interface Node {
  /** Equal conditions have equal numbers. */
  readonly id: number;
  /** About how dear it is to find out, relative to looking at one short field. */
  readonly cost: number;
}

export interface CheckNode extends Node {
  readonly kind: "check";
  readonly check: TypedCheck;
}

interface PartsNode extends Node {
  readonly kind: "and" | "or" | "not";
  /** The cheapest first; a negation has one. */
  readonly parts: readonly ConditionNode[];
}

interface ConstantNode extends Node {
  readonly kind: "true" | "false";
}

/** Whether a check is known to hold or not to hold; undefined when it is not known. */
export type Verdict = (node: CheckNode) => boolean | undefined;

/**
 * All conditions of a rule set as one graph. Checks have no side effects, so parts of a group may be tried in any order and
 * a part that many rules share is worked out at most once per event.
 */
export class ConditionGraph {
  private readonly slots: Slots;
  private readonly compat: Compat;
  private readonly byKey: Map<string, ConditionNode>;
  private readonly byCheck: Map<Check, ConditionNode>;
  private readonly predicates: Map<ConditionNode, Predicate>;
  private readonly always: ConstantNode;
  private readonly never: ConstantNode;

  constructor(slots: Slots, compat: Compat) {
    this.slots = slots;
    this.compat = compat;
    this.byKey = new Map();
    this.byCheck = new Map();
    this.predicates = new Map();
    this.always = { kind: "true", id: 0, cost: 0 };
    this.never = { kind: "false", id: 1, cost: 0 };
  }

  /** How many different nodes there are. */
  get size(): number {
    return this.byKey.size;
  }

  /** Takes in a condition without macro names that has been checked. */
  add(condition: Expression): ConditionNode {
    switch (condition.kind) {
      case "check":
        return this.addCheck(condition);
      case "not":
        return this.not(this.add(condition.part));
      case "and":
      case "or":
        return this.group(
          condition.kind,
          condition.parts.map((part) => this.add(part)),
        );
      case "identifier":
        throw new Error(`macro '${condition.name}' was not written out`);
    }
  }

  /** What is left of a condition once some checks are known. `done` keeps results for further conditions. */
  restrict(node: ConditionNode, verdict: Verdict, done: Map<ConditionNode, ConditionNode>): ConditionNode {
    const known = done.get(node);
    if (known !== undefined) return known;
    const left = this.restricted(node, verdict, done);
    done.set(node, left);
    return left;
  }

  private restricted(
    node: ConditionNode,
    verdict: Verdict,
    done: Map<ConditionNode, ConditionNode>,
  ): ConditionNode {
    switch (node.kind) {
      case "true":
      case "false":
        return node;
      case "check": {
        const known = verdict(node);
        return known === undefined ? node : known ? this.always : this.never;
      }
      case "not":
        return this.not(node.parts[0] === undefined ? node : this.restrict(node.parts[0], verdict, done));
      case "and":
      case "or": {
        const deciding = node.kind === "and" ? this.never : this.always;
        const parts: ConditionNode[] = [];
        for (const part of node.parts) {
          const left = this.restrict(part, verdict, done);
          if (left === deciding) return deciding;
          parts.push(left);
        }
        return this.group(node.kind, parts);
      }
    }
  }

  /** The function that finds out. Nodes that are not cheap keep their verdict for the rest of the event. */
  predicate(node: ConditionNode): Predicate {
    const known = this.predicates.get(node);
    if (known !== undefined) return known;
    const made = this.compiled(node);
    const kept = node.cost > keepAbove ? keeping(made) : made;
    this.predicates.set(node, kept);
    return kept;
  }

  private compiled(node: ConditionNode): Predicate {
    switch (node.kind) {
      case "true":
        return () => true;
      case "false":
        return () => false;
      case "check":
        return compileCheck(node.check, this.slots);
      case "not":
        return negation(node.parts.map((part) => this.predicate(part)));
      case "and":
        return conjunction(node.parts.map((part) => this.predicate(part)));
      case "or":
        return disjunction(node.parts.map((part) => this.predicate(part)));
    }
  }

  private addCheck(check: Check): ConditionNode {
    const seen = this.byCheck.get(check);
    if (seen !== undefined) return seen;
    const key = checkKey(check);
    const node = this.byKey.get(key) ?? this.newCheck(key, typeCheck(check, this.compat));
    this.byCheck.set(check, node);
    return node;
  }

  private newCheck(key: string, check: TypedCheck): ConditionNode {
    return this.keep(key, { kind: "check", id: this.byKey.size + 2, cost: checkCost(check), check });
  }

  private not(part: ConditionNode): ConditionNode {
    if (part.kind === "true") return this.never;
    if (part.kind === "false") return this.always;
    if (part.kind === "not") return part.parts[0] ?? part;
    const key = `not ${part.id}`;
    const { cost } = part;
    return (
      this.byKey.get(key) ?? this.keep(key, { kind: "not", id: this.byKey.size + 2, cost, parts: [part] })
    );
  }

  private group(kind: "and" | "or", given: readonly ConditionNode[]): ConditionNode {
    const [deciding, empty] = kind === "and" ? [this.never, this.always] : [this.always, this.never];
    const flat = given.flatMap((part) => (part.kind === kind ? part.parts : [part]));
    if (flat.includes(deciding)) return deciding;
    const parts = [...new Set(flat)].filter((part) => part !== empty);
    parts.sort((a, b) => a.cost - b.cost || a.id - b.id);
    const [first = empty] = parts;
    if (parts.length <= 1) return first;
    const key = `${kind} ${parts.map(({ id }) => id).join(" ")}`;
    const known = this.byKey.get(key);
    if (known !== undefined) return known;
    // The later parts are often not reached.
    const cost = parts.reduce((sum, part, i) => sum + part.cost / (i + 1), 0);
    return this.keep(key, { kind, id: this.byKey.size + 2, cost, parts });
  }

  private keep(key: string, node: ConditionNode): ConditionNode {
    this.byKey.set(key, node);
    return node;
  }
}

/** Looking up a kept verdict costs about as much as a node of this cost. */
const keepAbove = 1;

function keeping(predicate: Predicate): Predicate {
  let stamp = -1;
  let verdict = false;
  let failure: unknown;
  return (frame) => {
    if (frame.stamp !== stamp) {
      stamp = frame.stamp;
      failure = undefined;
      try {
        verdict = predicate(frame);
      } catch (error) {
        // What took too long once would take as long for the next rule.
        failure = error;
      }
    }
    if (failure !== undefined) throw failure;
    return verdict;
  };
}

const unused: Predicate = () => false;

function negation([part = unused]: readonly Predicate[]): Predicate {
  return (frame) => !part(frame);
}

function conjunction(parts: readonly Predicate[]): Predicate {
  const [a = unused, b = unused, c = unused] = parts;
  if (parts.length === 2) return (frame) => a(frame) && b(frame);
  if (parts.length === 3) return (frame) => a(frame) && b(frame) && c(frame);
  return (frame) => {
    for (const part of parts) if (!part(frame)) return false;
    return true;
  };
}

function disjunction(parts: readonly Predicate[]): Predicate {
  const [a = unused, b = unused, c = unused] = parts;
  if (parts.length === 2) return (frame) => a(frame) || b(frame);
  if (parts.length === 3) return (frame) => a(frame) || b(frame) || c(frame);
  return (frame) => {
    for (const part of parts) if (part(frame)) return true;
    return false;
  };
}

const operatorCosts: ReadonlyMap<string, number> = new Map([
  ["contains", 4],
  ["icontains", 12],
  ["glob", 15],
  ["iglob", 20],
  ["pmatch", 15],
  ["regex", 40],
]);

function checkCost({ left, right, operator, values }: TypedCheck): number {
  const test = (operatorCosts.get(operator) ?? 0.5) * (operator === "in" ? 1 : Math.max(1, values.length));
  return test + operandCost(left) + (right === undefined ? 0 : operandCost(right) + 1);
}

function operandCost({ source, isList }: ResolvedOperand): number {
  switch (source.kind) {
    case "literal":
      return 0;
    case "group":
      return source.items.reduce((sum, item) => sum + operandCost(item), 1);
    case "call":
      return source.args.reduce((sum, arg) => sum + operandCost(arg), 5);
    case "field":
      // Texts at fixed places of the envelope are short; what is inside bodies has to be found first, and may be long.
      if (
        /^ka\.(?:req|resp|uri\.param)|^(?:json|jevt)\.|^evt\.(?:plugininfo|.*time)/.test(source.field.key)
      ) {
        return isList ? 10 : 6;
      }
      return isList ? 4 : 0.5;
  }
}

/** One text per meaning of a check, wherever in a text it stands. */
function checkKey({ left, operator, modifier, right }: Check): string {
  const wanted =
    right === undefined
      ? []
      : right.kind === "value"
        ? [right.kind, right.value]
        : right.kind === "list"
          ? [right.kind, ...right.values]
          : [right.kind, operandKey(right)];
  return JSON.stringify([operandKey(left), operator, modifier ?? "", ...wanted]);
}

function operandKey(operand: Operand | TransformerArgument): unknown {
  if (operand.kind === "literal") return [operand.kind, operand.value];
  if (operand.kind === "group") return [operand.kind, ...operand.items.map(operandKey)];
  const { kind, name, argument = null } = operand;
  return operand.kind === "field"
    ? [kind, name, argument]
    : [kind, name, argument, operand.args.map(operandKey)];
}
