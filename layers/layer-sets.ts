import { type Bundle, effectiveLayers, type Layer, layerId } from "#trust";

type Labels = Readonly<Record<string, string>>;

/** Layers that apply together, with labels of a cluster on which exactly these do. */
export interface LayerSet {
  readonly labels: Labels;
  /** In the order in which they apply. */
  readonly layers: readonly Layer[];
}

export interface LayerSets {
  readonly sets: readonly LayerSet[];
  /** False when there are more than were asked for. */
  readonly isComplete: boolean;
}

/** Loading one takes up to a tenth of a second; a few dozen layers can come together in millions of ways. */
export const combinationsMax = 200;

/**
 * Every set of layers that some cluster can have, none of them first, then each layer with all that goes with it, then the
 * small ones before the large ones; at most `max`.
 */
export function layerSets(bundle: Bundle, max: number): LayerSets {
  const found = new Map<string, LayerSet>();
  const add = (labels: Labels): boolean => {
    const layers = effectiveLayers(bundle, labels);
    const id = layers.map(layerId).join();
    if (found.has(id)) return true;
    if (found.size === max) return false;
    found.set(id, { labels, layers });
    return true;
  };
  add({});
  let isComplete = bundle.layers.every((layer) => add(withAll(layer, bundle.layers)));
  // What was found is gone through again from the smallest, and grows while that goes on.
  const queue: Labels[] = [{}];
  const seen = new Set<string>();
  for (let at = 0; at < queue.length && isComplete; at++) {
    const labels = queue[at] ?? {};
    for (const layer of bundle.layers) {
      const grown = merged(labels, layer.selector);
      if (grown === undefined) continue;
      const id = effectiveLayers(bundle, grown).map(layerId).join();
      if (seen.has(id)) continue;
      seen.add(id);
      queue.push(grown);
      isComplete &&= add(grown);
    }
  }
  return { sets: [...found.values()], isComplete };
}

/** The labels of both selectors; undefined when no cluster can have them. */
export function merged(one: Labels, other: Labels): Labels | undefined {
  const excludes = Object.entries(other).some(
    ([label, value]) => Object.hasOwn(one, label) && one[label] !== value,
  );
  return excludes ? undefined : { ...one, ...other };
}

/** The labels of a layer and of as many others as go with it. */
function withAll({ selector }: Layer, others: readonly Layer[]): Labels {
  return others.reduce<Labels>((labels, other) => merged(labels, other.selector) ?? labels, selector);
}
