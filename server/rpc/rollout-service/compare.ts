import { accept, refuse, type Outcome } from "../../domain/refusal.ts";
import type { RolloutSpec } from "../../domain/rollout-spec.ts";
import type { Db } from "../../store/pool.ts";
import { readBundleContents } from "../../store/rollout-bundles.ts";
import { diffBundles, layersOf, readBundle, type BundleChange } from "./diff.ts";
import { createChangeMemory } from "./change-memory.ts";
import type { Prepared } from "./prepare.ts";

/** Clusters to which a rollout means the same: one bundle replaces another, with the same layers of each. */
export interface Comparison {
  /** The digest of the bundle that is replaced; empty for none. */
  readonly from: string;
  readonly layers: readonly string[];
  readonly clusters: readonly string[];
  readonly change: BundleChange;
}

/** Each takes tens of milliseconds; more than these are a fleet that one plan should not be made for. */
const groupsMax = 200;

/** A plan that is shown and then started compares the same twice, and so does every server that begins what waited. */
const changes = createChangeMemory(500);

/** What a plan changes, for each group of clusters that it means the same to. */
export async function compareBundles(
  db: Db,
  { plan, bundle, fleet }: Prepared,
): Promise<Outcome<readonly Comparison[]>> {
  const clusters = plan.waves.flatMap((wave) => wave.clusters);
  const digests = [bundle.digest, ...new Set(clusters.flatMap(({ previous }) => previous ?? []))];
  const contents = await readBundleContents(db, digests);
  const bundles = new Map([...contents].map(([digest, bytes]) => [digest, readBundle(bytes)]));
  const after = bundles.get(bundle.digest);
  if (after === undefined) return accept([]);
  const labels = new Map(
    // As agents choose layers: by the labels, and by the cluster's own name.
    fleet.map((cluster) => [cluster.id, { ...cluster.labels, cluster: cluster.name }]),
  );
  const groups = Map.groupBy(clusters, ({ id, previous = "" }) => {
    const before = bundles.get(previous);
    const own = labels.get(id) ?? {};
    return JSON.stringify([
      previous,
      before === undefined ? [] : layersOf(before, own),
      layersOf(after, own),
    ]);
  });
  if (groups.size > groupsMax) {
    const why = `The clusters have ${groups.size} combinations of bundles and layers; at most ${groupsMax} are compared in one plan: choose fewer clusters`;
    return refuse({ kind: "precondition", why });
  }
  const comparisons: Comparison[] = [];
  for (const members of groups.values()) {
    const [first] = members;
    const from = first?.previous ?? "";
    const own = labels.get(first?.id ?? "") ?? {};
    const before = bundles.get(from);
    const layersBefore = before === undefined ? [] : layersOf(before, own);
    const key = JSON.stringify([from, layersBefore, bundle.digest, layersOf(after, own)]);
    const change = await changes.get(key, () => diffBundles(before, after, own));
    const names = members.map(({ name }) => name);
    comparisons.push({ from, layers: layersOf(after, own), clusters: names, change });
  }
  return accept(comparisons);
}

const shownMax = 5;

/** Refuses to start what makes clusters blind, unless a person said that it may. */
export async function guardCoverage(db: Db, spec: RolloutSpec, prepared: Prepared): Promise<Outcome<true>> {
  if (spec.kind !== "rules" || spec.allowCoverageLoss === true) return accept(true);
  const compared = await compareBundles(db, prepared);
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
