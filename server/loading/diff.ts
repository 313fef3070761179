import { diffRules, loadRules, type RuleSet } from "#engine";
import { composeRules, ownedConflicts, type LeftOut, type OwnedLayer } from "#layers";
import { effectiveFiles, effectiveLayers, layerMatches, parseBundle, type Bundle } from "#trust";

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
  /** What becomes of the layers that teams own, where that is not as they are: sentences. */
  readonly layerNotes?: readonly string[];
}

/** A bundle that was read once, with the rulesets of its layers, so that a plan loads each choice of layers once. */
export interface ReadBundle {
  readonly bundle: Bundle;
  readonly rulesets: Map<string, Loaded>;
}

interface Loaded {
  readonly ruleset: RuleSet;
  readonly leftOut: readonly LeftOut[];
}

/** A bundle, and the layers that teams put on it. */
export interface LayeredBundle {
  readonly rules: ReadBundle;
  readonly owned: readonly OwnedLayer[];
}

/** Reads a bundle that is stored; undefined when the store was damaged, which agents notice by its hash. */
export function readBundle(bytes: Uint8Array): ReadBundle | undefined {
  const bundle = parseBundle(bytes);
  return bundle.ok ? { bundle: bundle.value, rulesets: new Map() } : undefined;
}

/** The layers that apply to a cluster, as LEVEL/NAME. */
export function layersOf(bundle: Pick<Bundle, "layers">, labels: Labels): readonly string[] {
  return effectiveLayers(bundle, labels).map(({ level, name }) => `${level}/${name}`);
}

/**
 * Compares what two bundles mean to clusters with these labels and these layers of teams; both were checked when they were
 * pushed. Compared with nothing, all of it is added.
 */
export function diffBundles(
  before: ReadBundle | undefined,
  after: ReadBundle,
  labels: Labels,
  owned: readonly OwnedLayer[] = [],
): BundleChange {
  const { bundle: next } = after;
  const old = before ?? { bundle: { ...next, files: [], layers: [] }, rulesets: new Map<string, Loaded>() };
  const had = before === undefined ? [] : owned;
  const layers = compare(allLayersOf(old.bundle), allLayersOf(next));
  const base =
    next.kind === "rules"
      ? diffRuleSets({ rules: old, owned: had }, { rules: after, owned }, labels)
      : { ...compare(filesOf(old.bundle), filesOf(next)), loss: undefined };
  return {
    added: [...base.added, ...layers.added],
    removed: [...base.removed, ...layers.removed],
    changed: [...base.changed, ...layers.changed],
    loss: base.loss,
    ...(base.tags === undefined ? {} : { tags: base.tags }),
    ...(base.layerNotes === undefined ? {} : { layerNotes: base.layerNotes }),
  };
}

/** Compares what two choices of rules and of layers on them mean to clusters with these labels. */
export function diffRuleSets(before: LayeredBundle, after: LayeredBundle, labels: Labels): BundleChange {
  const [old, next] = [rulesOf(before, labels), rulesOf(after, labels)];
  const layerNotes = notesOn(old, next, after, labels);
  return {
    ...diffRules(old.ruleset, next.ruleset),
    loss: coverageLoss(old.ruleset, next.ruleset),
    tags: compareTags(old.ruleset, next.ruleset),
    ...(layerNotes.length === 0 ? {} : { layerNotes }),
  };
}

const whyCharsMax = 500;

/** Which layers of teams agents would leave out from now on, and where one that goes on meets one of the bundle. */
function notesOn(old: Loaded, next: Loaded, after: LayeredBundle, labels: Labels): readonly string[] {
  const nameOf = ({ release }: OwnedLayer) => `${release.name}@${release.version}`;
  const known = new Set(old.leftOut.map(({ layer }) => nameOf(layer)));
  const gone = next.leftOut.filter(({ layer }) => !known.has(nameOf(layer)));
  const out = new Set(next.leftOut.map(({ layer }) => layer));
  const goesOn = after.owned.filter((layer) => !out.has(layer));
  return [
    ...gone.map(
      ({ layer, code, why }) =>
        `agents would leave out the layer ${nameOf(layer)}: ${why.slice(0, whyCharsMax)} (${code})`,
    ),
    ...ownedConflicts(after.rules.bundle, labels, goesOn),
  ];
}

function rulesOf({ rules, owned }: LayeredBundle, labels: Labels): Loaded {
  const releases = owned.map(({ release, terms }) => [
    release.name,
    release.version,
    terms,
    layerMatches(terms, labels),
  ]);
  const key = JSON.stringify([layersOf(rules.bundle, labels), releases]);
  const known = rules.rulesets.get(key);
  if (known !== undefined) return known;
  const loaded = owned.length === 0 ? loadPlain(rules.bundle, labels) : compose(rules.bundle, labels, owned);
  rules.rulesets.set(key, loaded);
  return loaded;
}

function loadPlain(bundle: Bundle, labels: Labels): Loaded {
  return { ruleset: loadRules(effectiveFiles(bundle, labels)).ruleset, leftOut: [] };
}

function compose(bundle: Bundle, labels: Labels, owned: readonly OwnedLayer[]): Loaded {
  const { report, leftOut } = composeRules(bundle, labels, owned);
  return { ruleset: report.ruleset, leftOut };
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
