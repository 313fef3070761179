import type { RolloutSpec } from "./rollout-spec.ts";
import { shareText, stageOf, strategyOf, type Share } from "./rollout-strategy.ts";

/** A cluster as far as its place in the waves goes. */
export interface Placeable {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly silent: boolean;
}

export interface NamedWave<C> {
  readonly name: string;
  /** What its clusters have in common; a cluster that comes later finds its wave by it. */
  readonly group: string;
  readonly clusters: readonly C[];
}

/** One stage, or one region of it: its waves come directly after one another. */
interface Group<C> {
  readonly key: string;
  readonly label: string;
  readonly clusters: readonly C[];
  readonly steps: readonly Share[];
}

/**
 * The waves of clusters that have to move: stage by stage, in a stage by steps over all of it, or region by region in
 * waves that grow. Silent clusters come last in their group, because a canary that cannot answer shows nothing; where
 * they are to be skipped, they are the last wave of all.
 */
export function makeWaves<C extends Placeable>(
  spec: RolloutSpec,
  moving: readonly C[],
): readonly NamedWave<C>[] {
  const isSkipped = (cluster: C) => strategyOf(spec).offline === "skip" && cluster.silent;
  const skipped = moving.filter(isSkipped);
  const groups = groupsOf(
    spec,
    moving.filter((cluster) => !isSkipped(cluster)),
  );
  const waves = groups.flatMap((group, i) => wavesOfGroup(spec, group, i === 0));
  if (skipped.length === 0) return waves;
  return [...waves, { name: "silent", group: "silent", clusters: skipped.toSorted(bySilenceThenName) }];
}

/** The wave in which a cluster that comes later is taken: the last of its group, or the last of all. */
export function placeLate(
  spec: RolloutSpec,
  waves: readonly { readonly group?: string }[],
  labels: Readonly<Record<string, string>>,
): number {
  const key = keyOf(spec, stageOf(spec, labels), labels);
  const found = waves.findLastIndex(({ group }) => group === key);
  return found === -1 ? Math.max(0, waves.length - 1) : found;
}

function groupsOf<C extends Placeable>(spec: RolloutSpec, clusters: readonly C[]): readonly Group<C>[] {
  const { stages } = strategyOf(spec);
  const byStage = Map.groupBy(clusters, ({ labels }) => stageOf(spec, labels));
  return [...stages.keys(), stages.length].flatMap((stage): readonly Group<C>[] => {
    const members = byStage.get(stage) ?? [];
    if (members.length === 0) return [];
    const name = stages[stage]?.name ?? (stages.length === 0 ? "" : "the rest");
    const steps = stepsOf(spec, stage);
    const byRegion = Map.groupBy(members, regionOf);
    const regions = regionsInOrder(spec.regionOrder, [...byRegion.keys()]);
    if (steps.length > 0) {
      const rank = (cluster: C) => regions.indexOf(regionOf(cluster));
      const sorted = members.toSorted(
        (a, b) => Number(a.silent) - Number(b.silent) || rank(a) - rank(b) || byText(a.name, b.name),
      );
      return [{ key: keyOf(spec, stage, {}), label: name, clusters: sorted, steps }];
    }
    return regions.map((region) => ({
      key: keyOf(spec, stage, { region }),
      label: [name, region === "" ? "no region" : region].filter((part) => part !== "").join(" "),
      clusters: (byRegion.get(region) ?? []).toSorted(bySilenceThenName),
      steps,
    }));
  });
}

function stepsOf(spec: RolloutSpec, stage: number): readonly Share[] {
  const { stages, steps } = strategyOf(spec);
  const own = stages[stage]?.steps ?? [];
  return own.length > 0 ? own : steps;
}

function keyOf(spec: RolloutSpec, stage: number, labels: Readonly<Record<string, string>>): string {
  return stepsOf(spec, stage).length > 0 ? `${stage}` : `${stage}/${labels["region"] ?? ""}`;
}

function regionOf({ labels }: Placeable): string {
  return labels["region"] ?? "";
}

/** The named regions first, in their order, then the others by name. Regions without clusters are left out. */
function regionsInOrder(order: readonly string[], present: readonly string[]): readonly string[] {
  const named = order.filter((region) => present.includes(region));
  return [...named, ...present.filter((region) => !named.includes(region)).toSorted(byText)];
}

function wavesOfGroup<C>(spec: RolloutSpec, group: Group<C>, isFirst: boolean): readonly NamedWave<C>[] {
  const { key, label, clusters, steps } = group;
  if (steps.length === 0) {
    const batches = growingBatches(clusters, spec.canary, spec.growth);
    return batches.map((batch, i) => ({
      name: waveName(label, i, batches.length, isFirst),
      group: key,
      clusters: batch,
    }));
  }
  const batches = steppedBatches(clusters, steps);
  return batches.map(({ to, batch }, i) => ({
    name: `${label === "" ? "" : `${label} `}${i + 1} of ${batches.length} (to ${to})`,
    group: key,
    clusters: batch,
  }));
}

function growingBatches<T>(all: readonly T[], first: number, growth: number): readonly (readonly T[])[] {
  const batches: (readonly T[])[] = [];
  for (let at = 0, size = first; at < all.length; at += size, size *= growth) {
    batches.push(all.slice(at, at + size));
  }
  return batches;
}

/** A step that reaches no further than the one before is left out; what the steps leave over is one more. */
function steppedBatches<T>(all: readonly T[], steps: readonly Share[]) {
  const batches: { readonly to: string; readonly batch: readonly T[] }[] = [];
  let at = 0;
  for (const step of steps) {
    // Rounded up: "1%" of a small fleet is one cluster and not none.
    const end = "count" in step ? step.count : Math.ceil((all.length * step.percent) / 100);
    if (end > at && at < all.length) batches.push({ to: shareText(step), batch: all.slice(at, end) });
    at = Math.max(at, end);
  }
  if (at < all.length) batches.push({ to: "100%", batch: all.slice(at) });
  return batches;
}

function waveName(label: string, index: number, count: number, isFirst: boolean): string {
  if (isFirst && index === 0) return `canary ${label}`;
  return count === 1 ? label : `${label} ${index + 1} of ${count}`;
}

function bySilenceThenName(a: Placeable, b: Placeable): number {
  return Number(a.silent) - Number(b.silent) || byText(a.name, b.name);
}

// Not localeCompare: the order of waves must not depend on the locale of the server that plans.
function byText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
