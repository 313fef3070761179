import { accept, type Outcome } from "../domain/refusal.ts";
import { diffRuleSets, readBundle, type BundleChange, type ReadBundle } from "./diff.ts";
import { ownedIn, type OwnedContents } from "./owned.ts";

type Labels = Readonly<Record<string, string>>;

/** What other layers mean to clusters whose rules stay: rules bundles and releases of layers, by digest. */
export interface LayerChangesAsked extends OwnedContents {
  readonly pairs: readonly LayerPair[];
}

export interface LayerPair {
  readonly base: string;
  readonly before: readonly string[];
  readonly after: readonly string[];
  readonly labels: Labels;
}

/** In the order of the pairs. What an agent would leave out changes nothing here either. */
export function compareLayers({
  contents,
  terms,
  pairs,
}: LayerChangesAsked): Outcome<readonly BundleChange[]> {
  const owned = (digests: readonly string[]) => ownedIn({ contents, terms }, digests);
  const bundles = new Map<string, ReadBundle | undefined>();
  const changes = pairs.map(({ base, before, after, labels }): BundleChange => {
    const bytes = contents.get(base);
    if (!bundles.has(base)) bundles.set(base, bytes === undefined ? undefined : readBundle(bytes));
    const rules = bundles.get(base);
    if (rules === undefined) return { added: [], removed: [], changed: [], loss: undefined };
    const on = (digests: readonly string[]) => ({ rules, owned: owned(digests) });
    return diffRuleSets(on(before), on(after), labels);
  });
  return accept(changes);
}
