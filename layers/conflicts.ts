import { type Act, type Clash, clashesOf, type ClashSide, type Statement, statementsIn } from "#engine";
import { type Bundle, effectiveLayers, type Layer, layerFiles, layerId, layerLevels } from "#trust";
import { type OwnedLayer, ownedFiles } from "./compose.ts";
import { merged } from "./layer-sets.ts";

/** Two layers of one level that meet on some cluster and say different things about one property. */
export interface LayerConflict {
  readonly one: Layer;
  readonly other: Layer;
  /** Of a cluster on which both apply. */
  readonly labels: Readonly<Record<string, string>>;
  readonly clash: Clash;
}

/**
 * Every place where what a cluster runs would depend on which of two layers of one level is taken first. Of layers of
 * different levels the later one wins, and of layers whose selectors exclude one another no cluster has both. Of rules
 * bundles only: an output of a shipper config is replaced as a whole, by its alias.
 */
export function findConflicts(bundle: Bundle): readonly LayerConflict[] {
  if (bundle.kind !== "rules") return [];
  const said = new Map<Layer, readonly Statement[]>();
  const saidBy = (layer: Layer): readonly Statement[] => {
    const statements = said.get(layer) ?? statementsIn(layerFiles(layer));
    said.set(layer, statements);
    return statements;
  };
  return bundle.layers.flatMap((one, index) =>
    bundle.layers.slice(index + 1).flatMap((other) => {
      const labels = one.level === other.level ? merged(one.selector, other.selector) : undefined;
      if (labels === undefined) return [];
      return clashesOf(saidBy(one), saidBy(other)).map((clash) => ({ one, other, labels, clash }));
    }),
  );
}

/**
 * Where a layer that a team owns says what a layer of the bundle, of the same level and on the same cluster, says otherwise: the
 * team's comes later and wins. Sentences, of at most ten places.
 */
export function ownedConflicts(
  bundle: Bundle,
  labels: Readonly<Record<string, string>>,
  owned: readonly OwnedLayer[],
): readonly string[] {
  const embedded = effectiveLayers(bundle, labels);
  const found = owned.flatMap(({ release, terms }) => {
    const theirs = statementsIn(ownedFiles(release));
    return embedded
      .filter(({ level }) => level === terms.level)
      .flatMap((layer) => clashesOf(statementsIn(layerFiles(layer)), theirs));
  });
  return found
    .slice(0, shownMax)
    .map(
      (clash) =>
        `${whatOf(clash)} is said twice: ${placeText(clash.one)} by the bundle, and ${placeText(clash.other)} by the team's layer, which wins`,
    );
}

const shownMax = 10;

/** Conflicts for people: what is contradicted, both places, where the layers apply and meet, and what to do. */
export function renderConflicts(conflicts: readonly LayerConflict[]): string {
  const more = conflicts.length - shownMax;
  return [
    ...conflicts.slice(0, shownMax).flatMap(linesOf),
    ...(more > 0 ? [`  and ${more} more`] : []),
    `Say it in one layer only, make the selectors exclude one another, or move one to another level (${layerLevels.join(" < ")}: the later wins).`,
  ].join("\n");
}

function linesOf({ one, other, labels, clash }: LayerConflict): readonly string[] {
  return [
    `  ${whatOf(clash)} is said twice:`,
    sideLine(one, clash.one),
    sideLine(other, clash.other),
    `    both apply to a cluster with ${labelsText(labels)}`,
  ];
}

function whatOf({ kind, name, property }: Clash): string {
  return property === undefined ? `${kind} '${name}'` : `the ${property} of ${kind} '${name}'`;
}

function placeText({ place }: ClashSide): string {
  return `${place.name}:${place.line + 1}:${place.column + 1}`;
}

const actWords: Readonly<Record<Act, string>> = {
  define: "defines it",
  replace: "replaces it",
  append: "adds to it",
};

function sideLine(layer: Layer, side: ClashSide): string {
  return `    ${placeText(side)} ${actWords[side.act]} (layer ${layerId(layer)}, ${labelsText(layer.selector)})`;
}

function labelsText(labels: Readonly<Record<string, string>>): string {
  const entries = Object.entries(labels).map(([label, value]) => `${label}=${value}`);
  return entries.length === 0 ? "any labels" : entries.sort().join(",");
}
