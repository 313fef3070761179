import { loadRules } from "#engine";
import { effectiveFiles, parseBundle } from "#trust";

import { accept, type Outcome } from "../domain/refusal.ts";
import { checkLayerPush } from "./check-layer.ts";
import { checkPush } from "./check-push.ts";
import { compareLayers } from "./diff-layers.ts";
import { ownedIn, type OwnedContents } from "./owned.ts";
import { diffBundles, readBundle, type BundleChange } from "./diff.ts";

type Labels = Readonly<Record<string, string>>;

/** One bundle that takes the place of others, by digest, on clusters with these labels and layers of teams. */
export interface ChangesAsked extends OwnedContents {
  readonly after: string;
  /** `from` is empty, or not in `contents`, where nothing is replaced. */
  readonly pairs: readonly {
    readonly from: string;
    readonly owned: readonly string[];
    readonly labels: Labels;
  }[];
}

/** In the order of the pairs. Each bundle is read once, and each choice of its layers is loaded once. */
function compareBundles({ contents, terms, after, pairs }: ChangesAsked): Outcome<readonly BundleChange[]> {
  const read = [after, ...new Set(pairs.map(({ from }) => from))].flatMap((digest) => {
    const bytes = contents.get(digest);
    return bytes === undefined ? [] : [[digest, readBundle(bytes)] as const];
  });
  const bundles = new Map(read);
  const next = bundles.get(after);
  if (next === undefined) throw new Error(`The bundle ${after} cannot be read`);
  return accept(
    pairs.map(({ from, owned, labels }) =>
      diffBundles(bundles.get(from), next, labels, ownedIn({ contents, terms }, owned)),
    ),
  );
}

/** More layers than these are loaded for their names in no judgement. */
const layersMax = 32;

/** The rules that are on with some of the bundle's layers, or none. */
function ruleNames(content: Uint8Array): Outcome<ReadonlySet<string>> {
  const bundle = parseBundle(content);
  // One that cannot be read reaches no agent; its gates see nothing but new rules.
  if (!bundle.ok) return accept(new Set());
  const { value } = bundle;
  const labels = [{}, ...value.layers.slice(0, layersMax).map(({ selector }) => selector)];
  const names = labels.flatMap((each) =>
    loadRules(effectiveFiles(value, each))
      .ruleset.rules.filter(({ enabled }) => enabled)
      .map(({ name }) => name),
  );
  return accept(new Set(names));
}

/** Everything that loads what bundles hold. It runs in threads of its own: one rule can take a second. */
export const works = { checkPush, checkLayerPush, compareBundles, compareLayers, ruleNames } as const;

export type WorkName = keyof typeof works;
export type WorkInput<N extends WorkName> = Parameters<(typeof works)[N]>[0];
type OutcomeOf<N extends WorkName> = ReturnType<(typeof works)[N]>;
export type WorkOutput<N extends WorkName> =
  Extract<OutcomeOf<N>, { readonly ok: true }> extends { readonly value: infer V } ? V : never;
