import type { Check, Expression, FieldReference, Operand, TransformerArgument } from "./ast.ts";
import type { Compat } from "./fields/field.ts";
import { bindField, type BoundField } from "./fields/registry.ts";
import { SyntaxProblem } from "./lexer.ts";
import { eventSpecs } from "./linux-audit/event-specs.ts";
import { isEventType, otherEvents, recordedEvents } from "./linux-audit/event-types.ts";

/** What is known of a condition before any event. */
export type Verdict = "true" | "false" | "maybe";

/** Field keys that are taken as if they could be had, to find out which of them a rule needs. */
type Assumed = ReadonlySet<string>;

const nothingAssumed: Assumed = new Set();
const equalities: ReadonlySet<string> = new Set(["=", "==", "in", "intersects"]);

/** The fields of checks, looked up once for all conditions that are asked about. */
export class CheckFields {
  private readonly compat: Compat;
  private readonly byName: Map<string, BoundField | undefined>;
  private readonly byCheck: Map<Check, readonly BoundField[]>;

  constructor(compat: Compat) {
    this.compat = compat;
    this.byName = new Map();
    this.byCheck = new Map();
  }

  of(check: Check): readonly BoundField[] {
    let fields = this.byCheck.get(check);
    if (fields === undefined) {
      const { left, right } = check;
      const only =
        left.kind === "field" && right?.kind !== "field" && right?.kind !== "transformer" ? left : undefined;
      fields = (only === undefined ? operandsOf(check).flatMap(referencesOf) : [only]).flatMap(
        (one) => this.find(one) ?? [],
      );
      this.byCheck.set(check, fields);
    }
    return fields;
  }

  private find({ name, argument }: FieldReference): BoundField | undefined {
    const key = `${name}[${argument ?? ""}`;
    if (!this.byName.has(key)) {
      const outcome = bindField(name, argument, this.compat);
      this.byName.set(key, outcome.ok ? outcome.field : undefined);
    }
    return this.byName.get(key);
  }
}

/** One condition for system calls. */
export class ConditionReach {
  private readonly condition: Expression;
  private readonly lookup: CheckFields;

  constructor(condition: Expression, lookup: CheckFields) {
    this.condition = condition;
    this.lookup = lookup;
  }

  /** Whether the condition can hold for events of a type. What the event itself must tell is `maybe`. */
  verdict(type: string, assumed: Assumed = nothingAssumed): Verdict {
    return this.of(this.condition, type, assumed);
  }

  private of(condition: Expression, type: string, assumed: Assumed): Verdict {
    switch (condition.kind) {
      case "and":
      case "or": {
        const decisive = condition.kind === "and" ? "false" : "true";
        let all: Verdict = condition.kind === "and" ? "true" : "false";
        for (const part of condition.parts) {
          const verdict = this.of(part, type, assumed);
          if (verdict === decisive) return decisive;
          if (verdict === "maybe") all = "maybe";
        }
        return all;
      }
      case "not": {
        const part = this.of(condition.part, type, assumed);
        return part === "maybe" ? part : part === "true" ? "false" : "true";
      }
      case "check":
        return this.check(condition, type, assumed);
      case "identifier":
        return "maybe";
    }
  }

  private check(check: Check, type: string, assumed: Assumed): Verdict {
    for (const field of this.lookup.of(check)) {
      if (!assumed.has(field.key) && !isCarried(field, type)) return "false";
    }
    const { left, operator, modifier, right } = check;
    if (left.kind !== "field" || modifier !== undefined || assumed.has(left.name)) return "maybe";
    const value = constantOf(left.name, type);
    if (value === undefined) return "maybe";
    if (operator === "exists") return "true";
    const wanted =
      right?.kind === "value" ? [right.value] : right?.kind === "list" ? right.values : undefined;
    if (wanted === undefined) return "maybe";
    if (equalities.has(operator)) return wanted.includes(value) ? "true" : "false";
    return operator === "!=" ? (wanted.includes(value) ? "false" : "true") : "maybe";
  }
}

/** Fields that say the same of all events of a type. */
function constantOf(name: string, type: string): string | undefined {
  if (name === "evt.type" || name === "syscall.type") return type;
  return name === "evt.dir" ? "<" : undefined;
}

function isCarried({ definition, argument }: BoundField, type: string): boolean {
  return definition.unavailable === undefined && (definition.carriedBy?.(type, argument) ?? true);
}

/** All checks of a condition. */
export function checksOf(expression: Expression): readonly Check[] {
  switch (expression.kind) {
    case "and":
    case "or":
      return expression.parts.flatMap(checksOf);
    case "not":
      return checksOf(expression.part);
    case "check":
      return [expression];
    case "identifier":
      return [];
  }
}

/** The fields an operand reads, in the order of writing. */
export function referencesOf(operand: Operand | TransformerArgument): readonly FieldReference[] {
  switch (operand.kind) {
    case "field":
      return [operand];
    case "literal":
      return [];
    case "group":
      return operand.items.flatMap(referencesOf);
    case "transformer":
      return operand.args.flatMap(referencesOf);
  }
}

function operandsOf({ left, right }: Check): readonly Operand[] {
  return right?.kind === "field" || right?.kind === "transformer" ? [left, right] : [left];
}

/** Checks that the events a check names exist. Throws {@link SyntaxProblem} with Falco's words at the culprit. */
export function checkEventTypes(check: Check): void {
  for (const type of eventTypesOf(check)) {
    if (!isEventType(type)) {
      throw new SyntaxProblem(`unknown event type ${type}`, check.right?.at ?? check.at);
    }
  }
}

function eventTypesOf({ left, operator, right }: Check): readonly string[] {
  if (left.kind !== "field" || left.name !== "evt.type") return [];
  if (!equalities.has(operator) && operator !== "!=") return [];
  return right?.kind === "value" ? [right.value] : right?.kind === "list" ? right.values : [];
}

/** What the source `syscall` makes of a rule. */
export interface Reach {
  /** Why no event can ever match: what the rule needs and can not have. Empty for a rule that can match. */
  readonly needs: readonly string[];
  /** Fields that are read as missing in a rule that can match all the same. */
  readonly missing: readonly string[];
  /** Whether the rule looks at so many types of event that Falco warns. */
  readonly isBroad: boolean;
}

/** Falco warns above a hundred codes of events, and most events have two. */
const typesMax = 50;

/** Finds out whether a condition for system calls can ever hold, and what stands in its way. */
export function reachOf(condition: Expression, lookup: CheckFields): Reach {
  const whole = new ConditionReach(condition, lookup);
  const checks = checksOf(condition);
  const fields = new Map(checks.flatMap((check) => lookup.of(check)).map((field) => [field.key, field]));
  const named = new Set(checks.flatMap(eventTypesOf));
  // Types that are neither named nor special are all alike.
  const types = [...named, ...eventSpecs.keys(), "getpid"].filter((type) => recordedEvents.has(type));
  const canHold = (assumed?: Assumed): boolean =>
    types.some((type) => whole.verdict(type, assumed) !== "false");
  const absent = [...fields.values()].filter(({ definition }) => definition.unavailable !== undefined);
  const isBroad = looksAtMany(whole, allOf(fields));
  if (canHold()) return { needs: [], missing: absent.map(describe), isBroad };
  const blamed = absent.filter(({ key }) => canHold(new Set([key])));
  const others = [...named]
    .filter((type) => otherEvents.has(type) && whole.verdict(type, allOf(fields)) !== "false")
    .map((type) => `event type ${type} (it is no system call)`);
  const entering = canHold(new Set(["evt.dir"])) ? ["evt.dir = > (calls are recorded when they return)"] : [];
  const needs = [...blamed.map(describe), ...others, ...entering];
  if (needs.length > 0 || !canHold(allOf(fields))) return { needs, missing: [], isBroad };
  return { needs: uncarried(fields, absent), missing: [], isBroad };
}

/** Whether Falco would warn of the number of types. A rule that no type can match at all is one of these too. */
function looksAtMany(whole: ConditionReach, assumed: Assumed): boolean {
  let count = 0;
  for (const type of [...recordedEvents, ...otherEvents]) {
    if (whole.verdict(type, assumed) !== "false") count++;
    if (count > typesMax) return true;
  }
  return count === 0;
}

function allOf(fields: ReadonlyMap<string, BoundField>): Assumed {
  return new Set([...fields.keys()].filter((key) => key !== "evt.type" && key !== "syscall.type"));
}

function uncarried(
  fields: ReadonlyMap<string, BoundField>,
  absent: readonly BoundField[],
): readonly string[] {
  if (absent.length > 0) return absent.map(describe);
  return [...fields.values()]
    .filter(({ definition }) => definition.carriedBy !== undefined)
    .map(({ key }) => `${key} (records of these events do not have it)`);
}

function describe({ key, definition }: BoundField): string {
  return `${key} (${definition.unavailable ?? "not available"})`;
}
