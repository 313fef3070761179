import { accept, refuse, type Outcome } from "./refusal.ts";
import {
  matchesSelector,
  parseSelector,
  requirementsMax,
  type RawRequirement,
  type Requirement,
  type Selector,
} from "./selector.ts";

declare const brand: unique symbol;

/**
 * The clusters that somebody may know of: those that match. Branded, so that a query takes what a credential carries and
 * not what a request says.
 */
export type Scope = Selector & { readonly [brand]: "scope" };

/** Every cluster; what the server itself acts with, and credentials without a scope. */
export const wholeFleet: Scope = [] as Selector as Scope;

type Labels = Readonly<Record<string, string>>;

export function isWholeFleet(scope: Scope): boolean {
  return scope.length === 0;
}

export function inScope(scope: Scope, labels: Labels): boolean {
  return matchesSelector(scope, labels);
}

/** Reads the scope of a credential to be, or names every bad requirement at once. */
export function parseScope(field: string, raw: readonly RawRequirement[]): Outcome<Scope> {
  const parsed = parseSelector(field, raw);
  return parsed.ok ? accept(parsed.value as Scope) : parsed;
}

/** What a holder gives on: never more than he has, whatever was asked for. */
export function narrow(holder: Scope, wanted: Scope): Outcome<Scope> {
  const kept = holder.filter((outer) => !wanted.some((inner) => implies(inner, outer)));
  const both = [...kept, ...wanted];
  if (both.length <= requirementsMax) return accept(both as Selector as Scope);
  const why = `has ${both.length} requirements together with your own scope; at most ${requirementsMax} are allowed`;
  return refuse({ kind: "invalid", problems: [{ field: "scope", why }] });
}

/**
 * Whether every cluster of `inner` is one of `outer`, judged by their requirements alone. May say no where the labels
 * of the fleet happen to make it so, and never yes where they could not.
 */
export function isWithin(inner: Scope, outer: Scope): boolean {
  return outer.every((wide) => inner.some((narrower) => implies(narrower, wide)));
}

/** Whether what holds the first requirement always holds the second. */
function implies(narrower: Requirement, wide: Requirement): boolean {
  if (narrower.key !== wide.key) return false;
  switch (wide.operator) {
    case "exists":
      return narrower.operator === "exists" || narrower.operator === "in";
    case "not-exists":
      return narrower.operator === "not-exists";
    case "in":
      return narrower.operator === "in" && narrower.values.every((value) => wide.values.includes(value));
    case "not-in":
      if (narrower.operator === "not-exists") return true;
      if (narrower.operator === "in") return !narrower.values.some((value) => wide.values.includes(value));
      return narrower.operator === "not-in" && wide.values.every((value) => narrower.values.includes(value));
  }
}

/**
 * Whether the holder of a scope may change a cluster's labels so. It has to stay in his own scope, and may neither enter
 * nor leave one that he does not hold: labels decide who sees a cluster. `others` are the scopes in use.
 */
export function judgeRelabel(
  holder: Scope,
  others: readonly Scope[],
  before: Labels,
  after: Labels,
): Outcome<true> {
  if (!inScope(holder, after)) {
    const why = `The labels would take the cluster out of your scope, which is ${scopeText(holder)}`;
    return refuse({ kind: "forbidden", why });
  }
  const crosses = others.some(
    (other) => inScope(other, before) !== inScope(other, after) && !isWithin(other, holder),
  );
  if (!crosses) return accept(true);
  const why =
    "The labels would move the cluster into or out of the scope of somebody else: that takes a credential for the whole fleet";
  return refuse({ kind: "forbidden", why });
}

/** In the words that `fleetctl -l` takes. */
export function scopeText(scope: Scope): string {
  if (isWholeFleet(scope)) return "the whole fleet";
  return scope.map(requirementText).join(",");
}

function requirementText(requirement: Requirement): string {
  const { key } = requirement;
  if (!("values" in requirement)) return requirement.operator === "exists" ? key : `!${key}`;
  const isIn = requirement.operator === "in";
  const [first, ...more] = requirement.values;
  if (more.length === 0) return `${key}${isIn ? "=" : "!="}${first}`;
  return `${key} ${isIn ? "in" : "notin"} (${requirement.values.join(",")})`;
}
