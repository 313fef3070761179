import type { Mutant } from "./mutants.ts";
import { trust } from "./trust.ts";

/** What is mutated together. */
export interface MutationSet {
  readonly files: readonly string[];
  /** Functions that are left alone. */
  readonly skip: readonly string[];
  /** In the order in which they run; the first failure ends a run. */
  readonly tests: readonly string[];
  /** Names of tests that are left out because they take long. */
  readonly slow: string;
  /** What the scratch copy needs. */
  readonly copied: readonly string[];
  readonly equivalent: readonly Equivalent[];
}

/** A mutant that nobody can tell from the original, and why. */
export interface Equivalent extends Pick<Mutant, "file" | "inside" | "from" | "to"> {
  readonly because: string;
}

export const sets: Readonly<Record<string, MutationSet>> = { trust };

export function whyEquivalent(set: MutationSet, mutant: Mutant): string | undefined {
  return set.equivalent.find(
    ({ file, inside, from, to }) =>
      file === mutant.file && inside === mutant.inside && from === mutant.from && to === mutant.to,
  )?.because;
}
