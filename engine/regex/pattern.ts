import { type CharSet, union } from "./char-set.ts";

/** What a pattern says, without what makes no difference to whether a text matches. */
export type Pattern =
  | { readonly kind: "empty" }
  | { readonly kind: "set"; readonly set: CharSet }
  /** Where a line begins or ends. */
  | { readonly kind: "begin" | "end" }
  | { readonly kind: "sequence" | "choice"; readonly parts: readonly Pattern[] }
  /** `most` is infinite for an open end. */
  | { readonly kind: "repeat"; readonly part: Pattern; readonly least: number; readonly most: number };

export const empty: Pattern = { kind: "empty" };

/** A pattern that is larger than RE2 or this engine takes. */
export class PatternProblem extends Error {}

export function tooLarge(): PatternProblem {
  return new PatternProblem("pattern too large - compile failed");
}

export function sequence(parts: readonly Pattern[]): Pattern {
  const flat = withoutRepeatedAnchors(
    parts.flatMap((part) => (part.kind === "sequence" ? part.parts : part.kind === "empty" ? [] : [part])),
  );
  const [only = empty] = flat;
  return flat.length <= 1 ? only : { kind: "sequence", parts: flat };
}

/** Anchors next to each other are all at one place, where each says the same however often it is written. */
function withoutRepeatedAnchors(parts: readonly Pattern[]): readonly Pattern[] {
  const said = new Set<string>();
  return parts.filter(({ kind }) => {
    if (kind !== "begin" && kind !== "end") said.clear();
    else if (said.has(kind)) return false;
    else said.add(kind);
    return true;
  });
}

export function choice(parts: readonly Pattern[]): Pattern {
  const flat = parts.flatMap((part) => (part.kind === "choice" ? part.parts : [part]));
  const sets = flat.flatMap((part) => (part.kind === "set" ? [part.set] : []));
  const others = flat.filter(({ kind }) => kind !== "set" && kind !== "empty");
  if (sets.length > 0) others.unshift({ kind: "set", set: union(sets) });
  const [only = empty] = others;
  const made: Pattern = others.length <= 1 ? only : { kind: "choice", parts: others };
  return flat.some(({ kind }) => kind === "empty") ? repeat(made, 0, 1) : made;
}

export function repeat(part: Pattern, least: number, most: number): Pattern {
  if (most === 0) return empty;
  // What takes no characters holds at a place or not, however often it is looked at.
  if (hasNoSets(part)) return least === 0 ? empty : part;
  if (least === 1 && most === 1) return part;
  if (part.kind === "repeat" && isPlain(part.least, part.most) && isPlain(least, most)) {
    return repeat(part.part, part.least * least, Math.max(part.most, most));
  }
  return { kind: "repeat", part, least, most };
}

/** `?`, `*`, `+` and what means the same: two of them are one again. */
function isPlain(least: number, most: number): boolean {
  return least <= 1 && (most === 1 || most === Infinity);
}

function hasNoSets(pattern: Pattern): boolean {
  switch (pattern.kind) {
    case "set":
      return false;
    case "repeat":
      return hasNoSets(pattern.part);
    case "sequence":
    case "choice":
      return pattern.parts.every(hasNoSets);
    case "empty":
    case "begin":
    case "end":
      return true;
  }
}
