import { lossesOf, protectedTag, type RuleSet, type RulesFile, type Statement, statementsIn } from "#engine";
import type { LayerBounds } from "#trust";

/** What may be said about a rule of others with the right to tune it: its words and its priority. All else can disable it. */
const words = new Set(["priority", "output", "desc", "tags"]);
const shownMax = 5;

/**
 * What a layer says that its terms do not let it say, or undefined. `known` are the files that it builds on, `guarded` the rules
 * that no layer may touch.
 */
export function beyondTerms(
  known: readonly RulesFile[],
  layer: readonly RulesFile[],
  terms: LayerBounds,
  guarded: ReadonlySet<string>,
): string | undefined {
  const there = new Set(statementsIn(known).map(itemOf));
  const problems = statementsIn(layer).flatMap((said) => {
    const why = there.has(itemOf(said))
      ? problemOfOthers(said, terms, guarded)
      : problemOfOwn(said, terms.prefix);
    return why === undefined ? [] : [`${placeOf(said)}: ${why}`];
  });
  const distinct = [...new Set(problems)];
  if (distinct.length === 0) return undefined;
  const more = distinct.length - shownMax;
  return [...distinct.slice(0, shownMax), ...(more > 0 ? [`and ${more} more`] : [])].join("\n");
}

function problemOfOthers(
  { kind, name, act, property }: Statement,
  { tune, replace }: LayerBounds,
  guarded: ReadonlySet<string>,
): string | undefined {
  if (kind === "rule" && guarded.has(name)) return `rule '${name}' is protected: no layer may touch it`;
  if (allows(replace, name)) return undefined;
  const isTuning = act === "append" || (act === "replace" && words.has(property));
  if (!isTuning) {
    const what = act === "define" ? "defines" : `replaces the ${property} of`;
    return `${what} ${kind} '${name}', which is not the layer's own, and its delegation does not list it under "replace"`;
  }
  if (allows(tune, name)) return undefined;
  return `changes ${kind} '${name}', which its delegation does not list under "tune"`;
}

function problemOfOwn({ kind, name, act }: Statement, prefix: string | undefined): string | undefined {
  if (act !== "define") return undefined; // It does not load, unless the layer itself defined the item before.
  if (prefix === undefined) return `brings ${kind} '${name}', and its delegation lets it bring nothing`;
  return name.startsWith(prefix)
    ? undefined
    : `brings ${kind} '${name}', and names of the layer's own items have to begin with '${prefix}'`;
}

function allows(names: readonly string[], name: string): boolean {
  return names.includes("*") || names.includes(name);
}

function itemOf({ kind, name }: Statement): string {
  return `${kind} ${name}`;
}

function placeOf({ source, node }: Statement): string {
  const { name, line } = source.position(node.at);
  return `${name}:${line + 1}`;
}

/**
 * How rules that no layer may touch differ once a layer is there, also through a macro or list: matching more is refused as
 * well, because taking the layer away again would then take something from a protected rule.
 */
export function protectedProblem(
  before: RuleSet,
  after: RuleSet,
  isProtected: (rule: { readonly name: string; readonly tags: readonly string[] }) => boolean,
): string | undefined {
  const known = new Set(before.compiled.filter(isProtected).map(({ name }) => name));
  const tagged = after.compiled.find(
    ({ name, tags }) => tags.includes(protectedTag) && !known.has(name),
  )?.name;
  const asTagged = `gets the tag "${protectedTag}", which no layer may give`;
  if (tagged !== undefined) return `rule '${tagged}' ${asTagged}`;
  const isKnown = ({ name }: { readonly name: string }): boolean => known.has(name);
  const [loss] = lossesOf(before, after, isKnown);
  if (loss !== undefined) return `protected rule '${loss.rule}' ${loss.why}`;
  const [gain] = lossesOf(after, before, isKnown);
  return gain === undefined ? undefined : `protected rule '${gain.rule}' would match more or come earlier`;
}
