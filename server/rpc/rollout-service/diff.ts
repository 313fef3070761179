import { setImmediate } from "node:timers/promises";

import { diffRules, loadRules, type RuleSet } from "#engine";
import { effectiveFiles, effectiveLayers, parseBundle, type Bundle } from "#trust";

import { coverageLoss, type CoverageLoss } from "./coverage.ts";
import { compareTags, type TagChange } from "./tags.ts";

type Labels = Readonly<Record<string, string>>;

/** What changes when one bundle replaces another: names of rules or of shipper files, and layers as "layer NAME". */
export interface BundleChange {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
  /** What the clusters no longer notice; undefined when nothing that counts. */
  readonly loss: CoverageLoss | undefined;
  /** Of rules. */
  readonly tags?: TagChange;
}

/** A bundle that was read once, with the rulesets of its layers, so that a plan loads each choice of layers once. */
export interface ReadBundle {
  readonly bundle: Bundle;
  readonly rulesets: Map<string, RuleSet>;
}

/** Reads a bundle that is stored; undefined when the store was damaged, which agents notice by its hash. */
export function readBundle(bytes: Uint8Array): ReadBundle | undefined {
  const bundle = parseBundle(bytes);
  return bundle.ok ? { bundle: bundle.value, rulesets: new Map() } : undefined;
}

/** The layers that apply to a cluster, as LEVEL/NAME. */
export function layersOf({ bundle }: ReadBundle, labels: Labels): readonly string[] {
  return effectiveLayers(bundle, labels).map(({ level, name }) => `${level}/${name}`);
}

/**
 * Compares what two bundles mean to clusters with these labels; both were checked when they were pushed. Compared with
 * nothing, all of it is added.
 */
export async function diffBundles(
  before: ReadBundle | undefined,
  after: ReadBundle,
  labels: Labels,
): Promise<BundleChange> {
  const { bundle: next } = after;
  const old = before ?? { bundle: { ...next, files: [], layers: [] }, rulesets: new Map<string, RuleSet>() };
  const layers = compare(allLayersOf(old.bundle), allLayersOf(next));
  const base =
    next.kind === "rules"
      ? await diffRuleSets(old, after, labels)
      : { ...compare(filesOf(old.bundle), filesOf(next)), loss: undefined };
  return {
    added: [...base.added, ...layers.added],
    removed: [...base.removed, ...layers.removed],
    changed: [...base.changed, ...layers.changed],
    loss: base.loss,
    ...(base.tags === undefined ? {} : { tags: base.tags }),
  };
}

async function diffRuleSets(before: ReadBundle, after: ReadBundle, labels: Labels): Promise<BundleChange> {
  const old = rulesOf(before, labels);
  // Loading takes CPU; between two loads others get their turn.
  await setImmediate();
  const next = rulesOf(after, labels);
  await setImmediate();
  return { ...diffRules(old, next), loss: coverageLoss(old, next), tags: compareTags(old, next) };
}

function rulesOf(read: ReadBundle, labels: Labels): RuleSet {
  const layers = layersOf(read, labels).join();
  const known = read.rulesets.get(layers);
  if (known !== undefined) return known;
  const { ruleset } = loadRules(effectiveFiles(read.bundle, labels));
  read.rulesets.set(layers, ruleset);
  return ruleset;
}

function filesOf(bundle: Bundle): ReadonlyMap<string, string> {
  return new Map(bundle.files.map(({ path, content }) => [path, content]));
}

function allLayersOf(bundle: Bundle): ReadonlyMap<string, string> {
  return new Map(bundle.layers.map((layer) => [`layer ${layer.level}/${layer.name}`, JSON.stringify(layer)]));
}

type Names = Pick<BundleChange, "added" | "removed" | "changed">;

function compare(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): Names {
  return {
    added: [...after.keys()].filter((key) => !before.has(key)),
    removed: [...before.keys()].filter((key) => !after.has(key)),
    changed: [...after]
      .filter(([key, value]) => before.has(key) && before.get(key) !== value)
      .map(([key]) => key),
  };
}
