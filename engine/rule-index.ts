import type { Check, Expression } from "./ast.ts";
import type { Compat } from "./fields/field.ts";
import { bindField, type BoundField } from "./fields/registry.ts";

/** A value that a field must have, or the rule can not match. */
interface Demand {
  readonly field: BoundField;
  readonly values: ReadonlySet<string>;
}

type Demands = ReadonlyMap<string, Demand>;

const depthMax = 3;
/** Below this many rules, looking each one up costs more than trying it. */
const worthwhile = 4;
/** Bounds the copies of rules that demand nothing of a field and so appear under each of its values. */
const entriesMax = 100_000;

/** Rules sorted by what they demand of an event, so that most of them are never tried. */
export type RuleIndex<T> =
  | { readonly kind: "leaf"; readonly rules: readonly T[] }
  | {
      readonly kind: "branch";
      readonly field: BoundField;
      readonly byValue: ReadonlyMap<string, RuleIndex<T>>;
      readonly otherwise: RuleIndex<T>;
    };

/**
 * Builds the index. Every leaf keeps the order of the rules and holds all that can match there: leaving one
 * out takes a positive demand, such as `ka.verb = create`, that the event does not meet.
 */
export function indexRules<T>(
  rules: readonly T[],
  conditionOf: (rule: T) => Expression,
  compat: Compat,
): RuleIndex<T> {
  const entries = rules.map((rule) => ({ rule, demands: demandsOf(conditionOf(rule), compat) }));
  return build(entries, new Set(), depthMax);
}

interface Entry<T> {
  readonly rule: T;
  readonly demands: Demands;
}

function build<T>(entries: readonly Entry<T>[], done: ReadonlySet<string>, depth: number): RuleIndex<T> {
  const field = depth === 0 || entries.length < worthwhile ? undefined : bestField(entries, done);
  if (field === undefined) return { kind: "leaf", rules: entries.map(({ rule }) => rule) };
  const values = new Set(entries.flatMap(({ demands }) => [...(demands.get(field.key)?.values ?? [])]));
  const inner = new Set([...done, field.key]);
  const below = (value: string | undefined): RuleIndex<T> => {
    const possible = entries.filter(({ demands }) => {
      const demand = demands.get(field.key);
      return demand === undefined || (value !== undefined && demand.values.has(value));
    });
    return build(possible, inner, depth - 1);
  };
  const byValue = new Map([...values].map((value) => [value, below(value)]));
  return { kind: "branch", field, byValue, otherwise: below(undefined) };
}

/** The field that most rules demand something of; none when hardly any does. */
function bestField<T>(entries: readonly Entry<T>[], done: ReadonlySet<string>): BoundField | undefined {
  const found = new Map<string, { field: BoundField; rules: number; values: Set<string> }>();
  for (const { demands } of entries) {
    for (const [key, { field, values }] of demands) {
      if (done.has(key)) continue;
      const seen = found.get(key) ?? { field, rules: 0, values: new Set<string>() };
      seen.rules++;
      for (const value of values) seen.values.add(value);
      found.set(key, seen);
    }
  }
  const useful = [...found.values()].filter(
    ({ rules, values }) => rules * 2 >= entries.length && values.size * entries.length <= entriesMax,
  );
  return useful.sort((a, b) => b.rules * b.values.size - a.rules * a.values.size)[0]?.field;
}

function demandsOf(condition: Expression, compat: Compat): Demands {
  switch (condition.kind) {
    case "check": {
      const demand = demandOf(condition, compat);
      return new Map(demand === undefined ? [] : [[demand.field.key, demand]]);
    }
    case "and": {
      const all = new Map<string, Demand>();
      for (const part of condition.parts) {
        // One demand for a field is enough; a second could only narrow it further.
        for (const [key, demand] of demandsOf(part, compat)) if (!all.has(key)) all.set(key, demand);
      }
      return all;
    }
    case "or":
      return inCommon(condition.parts.map((part) => demandsOf(part, compat)));
    case "not":
    case "identifier":
      return new Map();
  }
}

/** What alternatives have in common: the fields that all of them demand, with the values of all. */
function inCommon(alternatives: readonly Demands[]): Demands {
  const [first, ...others] = alternatives;
  const common = new Map<string, { field: BoundField; values: Set<string> }>();
  for (const [key, { field, values }] of first ?? []) common.set(key, { field, values: new Set(values) });
  for (const other of others) {
    for (const [key, { values }] of common) {
      const demand = other.get(key);
      if (demand === undefined) common.delete(key);
      else for (const value of demand.values) values.add(value);
    }
  }
  return common;
}

function demandOf({ left, operator, modifier, right }: Check, compat: Compat): Demand | undefined {
  if (left.kind !== "field" || modifier !== undefined) return undefined;
  if (operator !== "=" && operator !== "==" && operator !== "in") return undefined;
  if (right?.kind !== "value" && right?.kind !== "list") return undefined;
  const outcome = bindField(left.name, left.argument, compat);
  if (!outcome.ok || outcome.field.definition.isList || outcome.field.definition.type !== "CHARBUF") {
    return undefined;
  }
  const values = right.kind === "value" ? [right.value] : right.values;
  return { field: outcome.field, values: new Set(values) };
}
