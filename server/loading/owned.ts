import type { OwnedLayer } from "#layers";
import { parseLayerRelease, type LayerTerms } from "#trust";

/** Stored bytes by digest, and what each layer may say, by name. A layer that is not in `terms` is not put on. */
export interface OwnedContents {
  readonly contents: ReadonlyMap<string, Uint8Array>;
  readonly terms: ReadonlyMap<string, LayerTerms>;
}

/** The releases of these digests that can be read and that somebody may put on. */
export function ownedIn(
  { contents, terms }: OwnedContents,
  digests: readonly string[],
): readonly OwnedLayer[] {
  return digests.flatMap((digest): OwnedLayer[] => {
    const bytes = contents.get(digest);
    const release = bytes === undefined ? undefined : parseLayerRelease(bytes);
    const own = release?.ok === true ? terms.get(release.value.name) : undefined;
    return release?.ok === true && own !== undefined ? [{ release: release.value, terms: own }] : [];
  });
}
