import { accept, refuse, type Outcome } from "../../domain/refusal.ts";
import type { FleetCluster } from "../../domain/rollout-plan.ts";
import type { RolloutSpec } from "../../domain/rollout-spec.ts";
import type { Db } from "../../store/pool.ts";
import { readBundleContents } from "../../store/rollout-bundles.ts";
import { layersOf } from "../../loading/diff.ts";
import type { BundleLoader } from "../../loading/loader.ts";
import { fewEnough, type Comparison } from "./comparison.ts";
import { compareLayerRelease } from "./compare-layers.ts";
import { createChangeMemory } from "./change-memory.ts";
import { readOutlines } from "./outlines.ts";
import { noneOwned, readOwned } from "./owned.ts";
import type { Prepared } from "./prepare.ts";

/** A plan that is shown and then started compares the same twice, and so does every server that begins what waited. */
const changes = createChangeMemory(500);

/** What a plan changes, for each group of clusters that it means the same to. */
export async function compareBundles(
  db: Db,
  loader: BundleLoader,
  prepared: Prepared,
): Promise<Outcome<readonly Comparison[]>> {
  const { plan, bundle, fleet } = prepared;
  if (bundle.kind === "layer") return compareLayerRelease(db, loader, prepared);
  const clusters = plan.waves.flatMap((wave) => wave.clusters);
  const ids = clusters.map(({ id }) => id);
  const owned = bundle.kind === "rules" ? await readOwned(db, ids) : noneOwned;
  const digests = [bundle.digest, ...new Set(clusters.flatMap(({ previous }) => previous ?? []))];
  const bundles = await readOutlines(db, bundle.kind, digests);
  const after = bundles.get(bundle.digest);
  if (after === undefined) return accept([]);
  const labels = new Map<string, FleetCluster["labels"]>(
    fleet.map((cluster) => [cluster.id, cluster.labels]),
  );
  const each = clusters.map(({ id, name, previous }) => {
    const own = labels.get(id) ?? {};
    const before = previous === undefined ? undefined : bundles.get(previous);
    const there = owned.of(id, own);
    const [had, has] = [before === undefined ? [] : layersOf(before, own), layersOf(after, own)];
    const key = JSON.stringify([previous, had, bundle.digest, has, there.key]);
    const layers = [...has, ...there.names];
    return { key, name, from: previous ?? "", labels: own, owned: there.digests, layers };
  });
  const groups = [...Map.groupBy(each, ({ key }) => key).values()];
  const few = fewEnough(groups.length);
  if (!few.ok) return few;
  const asked = groups.flatMap((members) => {
    const [first] = members;
    return first === undefined ? [] : [{ ...first, clusters: members.map(({ name }) => name) }];
  });
  const compared = await changes.get(asked, async (pairs) => {
    const contents = await readBundleContents(db, neededFor(pairs, bundle.digest));
    return loader.run("compareBundles", { contents, terms: owned.terms, after: bundle.digest, pairs });
  });
  if (!compared.ok) return compared;
  return accept(
    asked.flatMap(({ from, layers, clusters: theirs }, i) => {
      const change = compared.value[i];
      return change === undefined ? [] : [{ from, layers, clusters: theirs, change }];
    }),
  );
}

/** What a thread needs to compare these, and no more. */
function neededFor(
  pairs: readonly { readonly from: string; readonly owned: readonly string[] }[],
  after: string,
): readonly string[] {
  const wanted = new Set([after, ...pairs.flatMap(({ from, owned }) => [from, ...owned])]);
  return [...wanted].filter((digest) => digest !== "");
}

const shownMax = 5;

/** Refuses to start what makes clusters blind, unless a person said that it may. */
export async function guardCoverage(
  db: Db,
  loader: BundleLoader,
  spec: RolloutSpec,
  prepared: Prepared,
): Promise<Outcome<true>> {
  if (spec.kind === "shipper" || spec.allowCoverageLoss === true) return accept(true);
  const compared = await compareBundles(db, loader, prepared);
  if (!compared.ok) return compared;
  const lost = compared.value.flatMap(({ clusters, change: { loss } }) => {
    if (loss === undefined) return [];
    const parts = [
      part("removes", loss.removed),
      part("disables", loss.disabled),
      part("breaks what is protected:", loss.protected),
      loss.requestsLost.length === 0
        ? ""
        : `asks for ${loss.requestsLost.length} of ${loss.requestsBefore} kinds of requests no more (${listed(loss.requestsLost)})`,
    ];
    return [`on ${listed(clusters)} it ${parts.filter((one) => one !== "").join(", ")}`];
  });
  if (lost.length === 0) return accept(true);
  const why = `Coverage would be lost: ${lost.slice(0, shownMax).join("; ")}${lost.length > shownMax ? "; and more" : ""}. If that is meant, allow it (--allow-coverage-loss)`;
  return refuse({ kind: "precondition", why });
}

function part(what: string, names: readonly string[]): string {
  return names.length === 0 ? "" : `${what} ${listed(names)}`;
}

function listed(names: readonly string[]): string {
  const more = names.length > shownMax ? ` and ${names.length - shownMax} more` : "";
  return `${names.slice(0, shownMax).join(", ")}${more}`;
}
