import { type LayerDelegation, readDelegations, readTargets, shortId } from "#trust";
import { orRefuse } from "./files.ts";

type Delegations = ReadonlyMap<string, LayerDelegation>;

/** What targets metadata gives to teams, by layer. */
export function delegationsIn(targets: Uint8Array | undefined): Delegations {
  if (targets === undefined) return new Map();
  return orRefuse(readDelegations(orRefuse(readTargets(targets)).document));
}

/** What targets metadata gives to teams, and takes back, that the one before did not: a line each. */
export function describeDelegations(before: Uint8Array | undefined, after: Uint8Array): readonly string[] {
  const [known, next] = [delegationsIn(before), delegationsIn(after)];
  const given = [...next.values()].flatMap((each) => {
    const text = describe(each);
    const old = known.get(each.layer);
    if (old === undefined) return [`gives ${text}`];
    return describe(old) === text ? [] : [`changes ${describe(old)}`, `to ${text}`];
  });
  const gone = [...known.keys()].filter((layer) => !next.has(layer));
  return [...given, ...gone.map((layer) => `takes back layer ${layer}`)];
}

function describe(delegation: LayerDelegation): string {
  const { layer, level, authority } = delegation;
  const keys = [...authority.keys.keys()].map(shortId).join(", ");
  const who = `layer ${layer} of level ${level} on ${selectorText(delegation)} to ${authority.threshold} of ${keys}`;
  return `${who}; ${termsText(delegation)}`;
}

/** The labels that a layer is confined to, in the words that `-l` takes. */
export function selectorText({ selector }: Pick<LayerDelegation, "selector">): string {
  return Object.entries(selector)
    .map(([label, value]) => `${label}=${value}`)
    .join(",");
}

/** What the releases of a layer may say. */
export function termsText({
  prefix,
  tune,
  replace,
}: Pick<LayerDelegation, "prefix" | "tune" | "replace">): string {
  const of = (names: readonly string[]) => (names.includes("*") ? "all" : names.join(", ") || "nothing");
  const own = prefix === undefined ? "brings nothing of its own" : `brings what begins with "${prefix}"`;
  return `${own}, tunes ${of(tune)}, replaces ${of(replace)}`;
}
