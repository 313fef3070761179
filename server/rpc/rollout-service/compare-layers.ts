import type { LayerTerms } from "#trust";

import { accept, type Outcome } from "../../domain/refusal.ts";
import { layersOf } from "../../loading/diff.ts";
import type { BundleLoader } from "../../loading/loader.ts";
import { delegatedTo, readLayered, readPublishedDelegations } from "../../store/layered.ts";
import type { Db } from "../../store/pool.ts";
import { readBundleContents } from "../../store/rollout-bundles.ts";
import { createChangeMemory } from "./change-memory.ts";
import { fewEnough, type Comparison } from "./comparison.ts";
import { readOutlines } from "./outlines.ts";
import type { Prepared } from "./prepare.ts";

/** As with bundles: a plan that is shown and then started compares the same twice. */
const changes = createChangeMemory(200);

/** What the release of a layer changes in the rules of its clusters, for each group of them that it means the same to. */
export async function compareLayerRelease(
  db: Db,
  loader: BundleLoader,
  { plan, bundle, fleet }: Prepared,
): Promise<Outcome<readonly Comparison[]>> {
  const clusters = plan.waves.flatMap((wave) => wave.clusters);
  const layered = await readLayered(
    db,
    clusters.map(({ id }) => id),
  );
  const labels = new Map(fleet.map((cluster) => [cluster.id, cluster.labels]));
  const used = [...layered.values()].map(({ rules }) => rules);
  const bases = await readOutlines(db, "rules", used);
  const terms = new Map<string, LayerTerms>(await readPublishedDelegations(db));
  const asked = clusters.flatMap(({ id, name }) => {
    const now = layered.get(id);
    if (now === undefined) return [];
    const own = labels.get(id) ?? {};
    const base = bases.get(now.rules);
    const there = delegatedTo(own, now.layers, terms);
    const others = there.filter(({ layer }) => layer !== bundle.name).map(({ digest }) => digest);
    const from = there.find(({ layer }) => layer === bundle.name)?.digest;
    const layers = base === undefined ? [] : layersOf(base, own);
    const before = from === undefined ? others : [...others, from];
    const pair = { base: now.rules, before, after: [...others, bundle.digest], labels: own };
    const said = [bundle.name, ...there.map(({ layer }) => layer)].map((layer) => terms.get(layer));
    const isForIt = delegatedTo(own, [{ layer: bundle.name }], terms).length > 0;
    const key = JSON.stringify([pair.base, pair.before, pair.after, layers, said, isForIt]);
    return [{ key, name, from: from ?? "", layers, pair }];
  });
  const groups = [...Map.groupBy(asked, ({ key }) => key).values()];
  const few = fewEnough(groups.length);
  if (!few.ok) return few;
  const firsts = groups.flatMap(([first]) => (first === undefined ? [] : [first]));
  const compared = await changes.get(firsts, async (missing) => {
    const pairs = missing.map(({ pair }) => pair);
    const needed = pairs.flatMap(({ base, before, after }) => [base, ...before, ...after]);
    const contents = await readBundleContents(db, [...new Set(needed)]);
    return loader.run("compareLayers", { contents, terms, pairs });
  });
  if (!compared.ok) return compared;
  return accept(
    groups.flatMap((members, i) => {
      const [first] = members;
      const change = compared.value[i];
      if (first === undefined || change === undefined) return [];
      const { from, layers } = first;
      return [{ from, layers, clusters: members.map(({ name }) => name), change }];
    }),
  );
}
