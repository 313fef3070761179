import type { LayerTerms } from "#trust";
import type { Part } from "./domain/apply-plan.ts";

/** A release of a layer that a team owns, with what its delegation lets it say. */
export interface LayerPart extends Part {
  readonly terms: LayerTerms;
  /** The release of the same layer that ran before: it goes on when this one does not pass. */
  readonly before?: Omit<LayerPart, "before">;
}

/**
 * A rules bundle with the layers that teams put on it: one thing that is applied, tried and gone back to as a whole. The agent
 * writes it beside the bundles and calls it by the hash of its text; nobody else ever sees it.
 */
export interface Composition {
  readonly base: Part;
  readonly layers: readonly LayerPart[];
}

/** No bundle begins so: the first of its fields is another. */
export const compositionMark = '{"composition":';

/** One text for one composition. */
export function encodeComposition({ base, layers }: Composition): string {
  const partOf = ({ path, length, sha256 }: Part): Part => ({ path, length, sha256 });
  const layerOf = ({ terms, ...part }: Omit<LayerPart, "before">) => ({ ...partOf(part), terms });
  const all = layers.map((layer) => ({
    ...layerOf(layer),
    ...(layer.before === undefined ? {} : { before: layerOf(layer.before) }),
  }));
  return `${compositionMark}${JSON.stringify({ base: partOf(base), layers: all })}}`;
}

/** Reads {@link encodeComposition}'s text, whose hash has to be right. */
export function readComposition(text: string): Composition {
  return (JSON.parse(text) as { composition: Composition }).composition;
}

/** What a file holds that the agent wrote itself; undefined for a bundle. */
export function compositionIn(bytes: Buffer): Composition | undefined {
  const mark = bytes.toString("latin1", 0, compositionMark.length);
  return mark === compositionMark ? readComposition(bytes.toString()) : undefined;
}
