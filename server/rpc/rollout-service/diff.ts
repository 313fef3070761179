import { setImmediate } from "node:timers/promises";

import { diffRules, loadRules, type RuleSet } from "#engine";
import { effectiveFiles, parseBundle, type Bundle } from "#trust";

import { compareCoverage, type CoverageChange } from "./coverage.ts";

/** What changes when one bundle replaces another: names of rules or of shipper files, and layers as "layer NAME". */
export interface BundleChange {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
  /** Of rules, without layers. */
  readonly coverage?: CoverageChange;
}

/** Compares what two bundles hold; both were checked when they were pushed. Compared with nothing, all of it is added. */
export async function diffBundles(before: Uint8Array | undefined, after: Uint8Array): Promise<BundleChange> {
  const next = read(after);
  const old = before === undefined ? { ...next, files: [], layers: [] } : read(before);
  const base: BundleChange =
    old.kind === "rules" ? await diffRuleSets(old, next) : compare(filesOf(old), filesOf(next));
  const layers = compare(layersOf(old), layersOf(next));
  return {
    ...base,
    added: [...base.added, ...layers.added],
    removed: [...base.removed, ...layers.removed],
    changed: [...base.changed, ...layers.changed],
  };
}

async function diffRuleSets(before: Bundle, after: Bundle): Promise<BundleChange> {
  const old = rulesOf(before);
  // Loading takes CPU; between two loads others get their turn.
  await setImmediate();
  const next = rulesOf(after);
  return { ...diffRules(old, next), coverage: compareCoverage(old, next) };
}

function read(bytes: Uint8Array): Bundle {
  const bundle = parseBundle(bytes);
  if (!bundle.ok) throw new Error(`A stored bundle cannot be read: ${bundle.refusal.message}`);
  return bundle.value;
}

function rulesOf(bundle: Bundle): RuleSet {
  const files = effectiveFiles(bundle, {}).map(({ name, content }) => ({ name, content }));
  return loadRules(files).ruleset;
}

function filesOf(bundle: Bundle): ReadonlyMap<string, string> {
  return new Map(bundle.files.map(({ path, content }) => [path, content]));
}

function layersOf(bundle: Bundle): ReadonlyMap<string, string> {
  return new Map(bundle.layers.map((layer) => [`layer ${layer.level}/${layer.name}`, JSON.stringify(layer)]));
}

function compare(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): BundleChange {
  return {
    added: [...after.keys()].filter((key) => !before.has(key)),
    removed: [...before.keys()].filter((key) => !after.has(key)),
    changed: [...after]
      .filter(([key, value]) => before.has(key) && before.get(key) !== value)
      .map(([key]) => key),
  };
}
