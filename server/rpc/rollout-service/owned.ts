import type { LayerTerms } from "#trust";

import { findBundleNames } from "../../store/bundles.ts";
import { delegatedTo, readLayered, readPublishedDelegations } from "../../store/layered.ts";
import type { Db } from "../../store/pool.ts";

/** Layers that teams own on some clusters, as they are assigned now. */
export interface Owned {
  readonly terms: ReadonlyMap<string, LayerTerms>;
  /** Of all of the clusters. */
  readonly digests: readonly string[];
  readonly of: (clusterId: string, labels: Labels) => OwnedThere;
}

type Labels = Readonly<Record<string, string>>;

interface OwnedThere {
  readonly digests: readonly string[];
  /** As NAME@VERSION. */
  readonly names: readonly string[];
  /** Tells apart what they may say, too: that changes without another release. */
  readonly key: string;
}

const none: OwnedThere = { digests: [], names: [], key: "" };
export const noneOwned: Owned = { terms: new Map(), digests: [], of: () => none };

/** Layers that nobody owns any more are left out, and on a cluster those that its labels do not stand for any more. */
export async function readOwned(db: Db, clusterIds: readonly string[]): Promise<Owned> {
  const layered = await readLayered(db, clusterIds);
  const digests = new Set([...layered.values()].flatMap(({ layers }) => layers.map(({ digest }) => digest)));
  if (digests.size === 0) return noneOwned;
  const terms = await readPublishedDelegations(db);
  const names = await findBundleNames(db, [...digests]);
  return {
    terms: new Map(terms),
    digests: [...digests],
    of: (clusterId, labels) => {
      const there = delegatedTo(labels, layered.get(clusterId)?.layers ?? [], terms);
      return {
        digests: there.map(({ digest }) => digest),
        names: there.map(({ layer, digest }) => `${layer}@${names.get(digest)?.version ?? digest}`),
        key: JSON.stringify(there.map(({ layer, digest }) => [digest, terms.get(layer)])),
      };
    },
  };
}
