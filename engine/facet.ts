import type { CheckNode, ConditionNode } from "./condition-graph.ts";
import type { TypedCheck } from "./check.ts";
import type { Frame, ReadNode, Slots } from "./compile.ts";
import type { BoundField } from "./fields/registry.ts";
import { Symbols } from "./json/symbols.ts";
import { ValueCache } from "./json/value-cache.ts";
import { valueText } from "./json/text.ts";
import { type ValueTest, valueTest } from "./value-tests.ts";

/** At most this many fields tell kinds of events apart. */
const facetsMax = 10;
/** A field that fewer than one rule in so many looks at is not worth a look at every event; two rules of a usual set are. */
const rareness = 60;
/** Classes of values beyond those that rules name, such as users whose names start alike. */
const furtherClasses = 48;
/** With more of them, to find the class of a new value would cost too much. */
const prefixesMax = 64;
const constantsMax = 1000;
const keptValuesMax = 4096;

/**
 * One field by which kinds of events are told apart. Its values fall into classes: those of which all checks say the same.
 * Class 0 is a missing field; of the last class, where all values end up for which there is no room, nothing is known.
 */
export class Facet {
  readonly key: string;
  /** One more than the highest class there can be. */
  readonly size: number;
  private readonly node: ReadNode;
  private readonly tests: ReadonlyMap<TypedCheck, ValueTest>;
  private readonly verdicts: ReadonlyMap<TypedCheck, boolean>[];
  private readonly bySays: Map<string, number>;
  private readonly symbols: Symbols;
  private readonly bySymbol: readonly number[];
  /** The class of all values that no rule names, if they are all alike. */
  private readonly others: number | undefined;
  private readonly byValue: Map<string, number>;
  private readonly cache: ValueCache;

  constructor({ key }: BoundField, node: ReadNode, checks: readonly TypedCheck[]) {
    const constants = [...new Set(checks.filter(isExact).flatMap(({ values }) => values))];
    this.key = key;
    this.size = constants.length + furtherClasses + 3;
    this.node = node;
    this.tests = new Map(checks.map((check) => [check, valueTest(check)]));
    this.verdicts = [];
    this.bySays = new Map();
    this.classOf(undefined);
    this.symbols = new Symbols(constants);
    this.bySymbol = constants.map((value) => this.classOf(value));
    const other = constants.reduce((one, value) => (one.length > value.length ? one : `${value}?`), "?");
    this.others = checks.every(isExact) ? this.classOf(other) : undefined;
    this.byValue = new Map();
    this.cache = new ValueCache();
  }

  /** The class of the event's value. */
  place(frame: Frame): number {
    const node = this.node(frame);
    if (node < 0) return 0;
    const { tape } = frame.event;
    const symbol = tape.symbol(node, this.symbols);
    if (symbol >= 0) return this.bySymbol[symbol] ?? this.size - 1;
    if (this.others !== undefined) return this.others;
    const known = tape.cached(node, this.cache);
    if (known >= 0) return known;
    const place = this.placeOf(valueText(tape, node));
    tape.cache(node, this.cache, place);
    return place;
  }

  /** What a check says of a class; undefined when that is not known. */
  verdict(check: TypedCheck, place: number): boolean | undefined {
    return this.verdicts[place]?.get(check);
  }

  private placeOf(value: string): number {
    const known = this.byValue.get(value);
    if (known !== undefined) return known;
    const place = this.classOf(value);
    // Names that somebody makes up by the thousand must not fill the memory.
    if (this.byValue.size >= keptValuesMax) this.byValue.clear();
    if (value.length <= 256) this.byValue.set(value, place);
    return place;
  }

  private classOf(value: string | undefined): number {
    const verdicts = new Map<TypedCheck, boolean>();
    let says = value === undefined ? "missing" : "";
    for (const [check, test] of this.tests) {
      const verdict = test(value);
      verdicts.set(check, verdict);
      says += verdict ? "1" : "0";
    }
    const known = this.bySays.get(says);
    if (known !== undefined) return known;
    if (this.verdicts.length >= this.size - 1) return this.size - 1;
    this.bySays.set(says, this.verdicts.length);
    return this.verdicts.push(verdicts) - 1;
  }
}

/** The field of a check that a facet can decide. */
export function facetKey({ left, right, operator, modifier }: TypedCheck): string | undefined {
  if (left.source.kind !== "field" || left.isList || left.type !== "CHARBUF") return undefined;
  const { definition, key } = left.source.field;
  if (right !== undefined && operator !== "exists") return undefined;
  // Only the envelope has few enough different values; what a JSON pointer names could be anything.
  return definition.path !== undefined && modifier === undefined && operators.has(operator) ? key : undefined;
}

const exact = ["=", "==", "!=", "in", "intersects", "exists"];
const operators: ReadonlySet<string> = new Set([...exact, "startswith", "endswith"]);

/** Whether the check looks for whole values, so that a value it does not name needs no name. */
function isExact({ operator }: TypedCheck): boolean {
  return exact.includes(operator);
}

interface Use {
  readonly field: BoundField;
  readonly checks: Set<TypedCheck>;
  rules: number;
}

/** The fields that most rules compare with constants. */
export function chooseFacets(roots: readonly ConditionNode[], slots: Slots): readonly Facet[] {
  const uses = new Map<string, Use>();
  for (const root of roots) {
    const counted = new Set<string>();
    for (const { check } of checksBelow(root, new Set())) {
      const key = facetKey(check);
      if (key === undefined || check.left.source.kind !== "field") continue;
      const use = uses.get(key) ?? {
        field: check.left.source.field,
        rules: 0,
        checks: new Set<TypedCheck>(),
      };
      if (!counted.has(key)) use.rules++;
      counted.add(key);
      use.checks.add(check);
      uses.set(key, use);
    }
  }
  return [...uses.values()]
    .filter(({ rules, checks }) => rules * rareness >= roots.length && isSmall([...checks]))
    .sort((a, b) => b.rules - a.rules)
    .flatMap(({ field, checks }) => {
      const node = slots.node(field);
      return node === undefined ? [] : [new Facet(field, node, [...checks])];
    })
    .slice(0, facetsMax);
}

function isSmall(checks: readonly TypedCheck[]): boolean {
  const constants = checks.reduce((sum, { values }) => sum + values.length, 0);
  // A field of which every value differs, such as a URI, would have its class found anew for every event.
  const isManifold = checks.some(
    ({ left: { source } }) => source.kind === "field" && manifold.has(source.field.key),
  );
  return (
    !isManifold && constants <= constantsMax && checks.filter((one) => !isExact(one)).length <= prefixesMax
  );
}

const manifold: ReadonlySet<string> = new Set([
  "ka.uri",
  "ka.auditid",
  "ka.target.name",
  "ka.resp.name",
  "ka.auth.reason",
]);

function checksBelow(node: ConditionNode, seen: Set<ConditionNode>): readonly CheckNode[] {
  if (seen.has(node)) return [];
  seen.add(node);
  if (node.kind === "check") return [node];
  return "parts" in node ? node.parts.flatMap((part) => checksBelow(part, seen)) : [];
}
