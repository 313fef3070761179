import {
  engineVersion,
  loadRules,
  type LoadReport,
  protectedTag,
  renderFindings,
  type RulesFile,
} from "#engine";
import {
  type Bundle,
  checkEngine,
  effectiveFiles,
  effectiveLayers,
  layerFiles,
  layerLevels,
  layerMatches,
  type LayerRelease,
  type LayerTerms,
} from "#trust";
import { beyondTerms, protectedProblem } from "./terms.ts";

type Labels = Readonly<Record<string, string>>;

/** A release of a layer that a team owns, and what its delegation lets it say. */
export interface OwnedLayer {
  readonly release: LayerRelease;
  readonly terms: LayerTerms;
}

/** A layer that is left out, and why: a stable code and a sentence. */
export interface LeftOut {
  readonly layer: OwnedLayer;
  readonly code: string;
  readonly why: string;
}

/** What a cluster runs: the bundle's own files and the owned layers that passed. */
export interface Composition {
  readonly files: readonly RulesFile[];
  readonly report: LoadReport;
  readonly taken: readonly OwnedLayer[];
  readonly leftOut: readonly LeftOut[];
}

export interface ComposeOptions {
  /** Which rules no layer may touch, besides those with the tag `protected`. */
  readonly isProtected?: (rule: { readonly name: string; readonly tags: readonly string[] }) => boolean;
}

/** The name under which a file of an owned layer loads: `layers/NAME@VERSION/PATH`, which no file of a bundle has. */
export function ownedFiles(release: LayerRelease): readonly RulesFile[] {
  const { name, version } = release;
  return release.files.map(({ path, content }) => ({ name: `layers/${name}@${version}/${path}`, content }));
}

/**
 * Puts owned layers on a rules bundle for a cluster with these labels, one after the other in the order of their levels. A
 * layer that is for other clusters, says more than its terms allow, or does not load is left out, and the others go on: the
 * bundle never waits for a layer. When the bundle itself does not load, the report says so.
 */
export function composeRules(
  bundle: Bundle,
  labels: Labels,
  owned: readonly OwnedLayer[],
  options: ComposeOptions = {},
): Composition {
  const plain = effectiveFiles(bundle, labels);
  let files: readonly RulesFile[] = plain;
  let report = loadRules(files);
  const taken: OwnedLayer[] = [];
  const leftOut: LeftOut[] = [];
  if (!report.ok) return { files, report, taken, leftOut };
  const isProtected: NonNullable<ComposeOptions["isProtected"]> = (rule) =>
    rule.tags.includes(protectedTag) || options.isProtected?.(rule) === true;
  for (const layer of inOrder(owned)) {
    const leave = (code: string, why: string) => leftOut.push({ layer, code, why });
    const fits = fitProblem(layer, labels);
    if (fits !== undefined) {
      leave(...fits);
      continue;
    }
    const guarded = new Set(report.ruleset.rules.filter(isProtected).map(({ name }) => name));
    const beyond = beyondTerms(files, ownedFiles(layer.release), layer.terms, guarded);
    if (beyond !== undefined) {
      leave("layer/beyond-terms", beyond);
      continue;
    }
    const next = filesWith(bundle, labels, [...taken, layer]);
    const loaded = loadRules(next);
    if (!loaded.ok) {
      leave("rules/invalid", renderFindings(loaded, next).trimEnd());
      continue;
    }
    const touched = protectedProblem(report.ruleset, loaded.ruleset, isProtected);
    if (touched !== undefined) {
      leave("layer/beyond-terms", touched);
      continue;
    }
    taken.push(layer);
    files = next;
    report = loaded;
  }
  return { files, report, taken, leftOut };
}

/** By level, and then by name: two of one level never meet on a cluster. */
function inOrder(owned: readonly OwnedLayer[]): readonly OwnedLayer[] {
  const place = ({ terms }: OwnedLayer) => layerLevels.indexOf(terms.level);
  return owned.toSorted(
    (one, other) => place(one) - place(other) || (one.release.name < other.release.name ? -1 : 1),
  );
}

function fitProblem({ release, terms }: OwnedLayer, labels: Labels): readonly [string, string] | undefined {
  if (!layerMatches(terms, labels)) {
    const wanted = Object.entries(terms.selector).map(([label, value]) => `${label}=${value}`);
    return ["trust/beyond-delegation", `The layer is confined to clusters with ${wanted.join(",")}`];
  }
  const fits = checkEngine(release, engineVersion);
  return fits.ok ? undefined : [fits.refusal.code, fits.refusal.message];
}

/** Embedded layers of a level come first, and owned ones after them. */
function filesWith(bundle: Bundle, labels: Labels, owned: readonly OwnedLayer[]): readonly RulesFile[] {
  const base = bundle.files.map(({ path, content }) => ({ name: path, content }));
  const embedded = effectiveLayers(bundle, labels);
  const layered = layerLevels.flatMap((level) => [
    ...embedded.filter((layer) => layer.level === level).flatMap(layerFiles),
    ...owned.filter(({ terms }) => terms.level === level).flatMap(({ release }) => ownedFiles(release)),
  ]);
  return [...base, ...layered];
}
