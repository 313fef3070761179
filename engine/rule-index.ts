import type { Expression } from "./ast.ts";
import type { Frame, Predicate, Slots } from "./compile.ts";
import { type CheckNode, ConditionGraph, type ConditionNode } from "./condition-graph.ts";
import { chooseFacets, type Facet, facetKey } from "./facet.ts";
import type { Compat } from "./fields/field.ts";
import { KindTable } from "./kind-table.ts";

/** A rule that an event of one kind could match, and what still has to hold. */
export interface Candidate<T> {
  readonly rule: T;
  readonly matches: Predicate;
}

export interface IndexedRule<T> {
  readonly rule: T;
  readonly condition: Expression;
}

/** At most this many kinds are prepared; events of any further kind meet all rules as they are. */
const kindsMax = 4096;
/** And at most this many parts of conditions are made for them. */
const nodesMax = 100_000;
/** With more parts than this to begin with, to prepare a kind would take longer than one event may. */
const preparedMax = 20_000;

/**
 * Rules, sorted by kinds of events. A kind is what an event says in the few fields that most rules compare with constants:
 * verb, stage, resource, user and the like, where all values that no rule can tell apart count as one. When the first event
 * of a kind comes in, all conditions are simplified by what is known of that kind. Rules that can not match any more drop
 * out, which are nearly all of them for nearly all kinds, and the others are left with what the kind does not decide.
 */
export class RuleIndex<T> {
  private readonly graph: ConditionGraph;
  private readonly rules: readonly { readonly rule: T; readonly node: ConditionNode }[];
  private readonly facets: readonly Facet[];
  private readonly kinds: KindTable;
  /** What the event says in each facet, and the rules of each kind. */
  private readonly places: Int32Array;
  private readonly byKind: (readonly Candidate<T>[])[];
  private readonly all: readonly Candidate<T>[];
  private readonly isFirstOnly: boolean;

  /** `isFirstOnly`: of an event's candidates nobody asks further than to the first that matches. */
  constructor(rules: readonly IndexedRule<T>[], slots: Slots, compat: Compat, isFirstOnly: boolean) {
    this.isFirstOnly = isFirstOnly;
    this.graph = new ConditionGraph(slots, compat);
    this.rules = rules.map(({ rule, condition }) => ({ rule, node: this.graph.add(condition) }));
    const roots = this.rules.map(({ node }) => node);
    this.facets = this.graph.size > preparedMax ? [] : chooseFacets(roots, slots);
    this.kinds = new KindTable(this.facets.length, kindsMax);
    this.places = new Int32Array(this.facets.length);
    this.byKind = [];
    this.all = this.rules.map(({ rule, node }) => ({ rule, matches: this.lazily(node) }));
  }

  /** The rules that the event could match, in their order. */
  candidates(frame: Frame): readonly Candidate<T>[] {
    const { facets, places } = this;
    if (facets.length === 0) return this.all;
    for (let i = 0; i < facets.length; i++) places[i] = facets[i]?.place(frame) ?? 0;
    const kind = this.kinds.find(places);
    return (kind < 0 ? undefined : this.byKind[kind]) ?? this.prepare();
  }

  private prepare(): readonly Candidate<T>[] {
    if (this.graph.size > nodesMax) return this.all;
    const kind = this.kinds.add(this.places);
    if (kind < 0) return this.all;
    const known = new Map(this.facets.map((facet, i) => [facet.key, { facet, place: this.places[i] ?? 0 }]));
    const verdict = ({ check }: CheckNode): boolean | undefined => {
      const key = facetKey(check);
      const one = key === undefined ? undefined : known.get(key);
      return one?.facet.verdict(check, one.place);
    };
    const done = new Map<ConditionNode, ConditionNode>();
    const left = this.rules
      .map(({ rule, node }) => ({ rule, node: this.graph.restrict(node, verdict, done) }))
      .filter(({ node }) => node.kind !== "false");
    const reached = this.isFirstOnly ? withoutShadowed(left) : left;
    const candidates = reached.map(({ rule, node }) => ({ rule, matches: this.graph.predicate(node) }));
    this.byKind[kind] = candidates;
    return candidates;
  }

  /** Patterns of rules that no event reaches are never compiled. */
  private lazily(node: ConditionNode): Predicate {
    let made: Predicate | undefined;
    return (frame) => (made ??= this.graph.predicate(node))(frame);
  }
}

/**
 * Leaves out what can only match where an earlier one matches already: the same condition again, or one that asks for more.
 * Copies of a rule for other tenants end here, once the kind has decided what they differ in.
 */
function withoutShadowed<R extends { readonly node: ConditionNode }>(rules: readonly R[]): readonly R[] {
  /** What matched earlier rules need, by the first of their parts. */
  const earlier = new Map<ConditionNode, (readonly ConditionNode[])[]>();
  const kept: R[] = [];
  for (const rule of rules) {
    const parts = rule.node.kind === "and" ? rule.node.parts : [rule.node];
    const own = new Set(parts);
    const isShadowed = parts.some((part) =>
      earlier.get(part)?.some((needed) => needed.every((one) => own.has(one))),
    );
    if (isShadowed) continue;
    kept.push(rule);
    if (rule.node.kind === "true") break;
    const [first = rule.node] = parts;
    const others = earlier.get(first);
    if (others === undefined) earlier.set(first, [parts]);
    else others.push(parts);
  }
  return kept;
}
