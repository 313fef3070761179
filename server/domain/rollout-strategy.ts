import type { Problem } from "./refusal.ts";
import type { RolloutSpec } from "./rollout-spec.ts";
import { matchesSelector, type Selector } from "./selector.ts";

/** So many clusters, or so many of a hundred. */
export type Share = { readonly count: number } | { readonly percent: number };

/**
 * What happens to clusters that are silent when it is their turn: they are given the bundle and fail at their deadline
 * like others, the wave waits to hear of them, or it goes on and they get the bundle when they are heard of.
 */
export type OfflinePolicy = "count" | "wait" | "skip";

/** Clusters that are taken before those of the next stage. A cluster belongs to the first stage that it matches. */
export interface Stage {
  readonly name: string;
  readonly selector: Selector;
  /** As `steps` of the strategy, for this stage alone. */
  readonly steps: readonly Share[];
}

/** How the waves are made and what holds them back, beyond what every rollout has. */
export interface Strategy {
  readonly stages: readonly Stage[];
  /** How far each wave goes: the clusters that have the bundle after it. Empty: growing waves, region by region. */
  readonly steps: readonly Share[];
  /** At most so many clusters have been given the bundle and not proved it yet; absent: no bound. */
  readonly unavailableMax?: Share;
  /** In place of the spec's count: more than this share of the clusters stops the rollout. */
  readonly failuresPercentMax?: number;
  readonly offline: OfflinePolicy;
}

const plain: Strategy = { stages: [], steps: [], offline: "count" };

export const stagesMax = 32;
export const stepsMax = 64;
const countMax = 100_000;

/** A rollout that says nothing of these things has the plain strategy. */
export function strategyOf(spec: RolloutSpec): Strategy {
  return spec.strategy ?? plain;
}

/** Everything in a strategy that is out of bounds, by the names of the wire. Selectors were read before. */
export function strategyProblems(strategy: Strategy | undefined): readonly Problem[] {
  if (strategy === undefined) return [];
  const { stages, steps, unavailableMax, failuresPercentMax } = strategy;
  const problems: Problem[] = [...stepProblems("steps", steps)];
  if (unavailableMax !== undefined) problems.push(...shareProblems("max_unavailable", unavailableMax));
  if (failuresPercentMax !== undefined) {
    problems.push(...shareProblems("max_failures_percent", { percent: failuresPercentMax }));
  }
  if (stages.length > stagesMax) {
    problems.push({ field: "stages", why: `are ${stages.length}; at most ${stagesMax} are allowed` });
  }
  for (const [i, stage] of stages.slice(0, stagesMax).entries()) {
    const field = `stages[${i}]`;
    if (!/^[A-Za-z0-9][A-Za-z0-9 ._=-]{0,62}$/.test(stage.name)) {
      const why = `"${stage.name.slice(0, 80)}" is no name of 1 to 63 letters, digits, spaces, ".", "_", "=" and "-"`;
      problems.push({ field: `${field}.name`, why });
    } else if (stages.findIndex(({ name }) => name === stage.name) !== i) {
      problems.push({ field: `${field}.name`, why: `"${stage.name}" is the name of another stage` });
    }
    if (stage.selector.length === 0 && i < stages.length - 1) {
      const why = `"${stage.name.slice(0, 80)}" takes every cluster, so the stages after it are empty`;
      problems.push({ field: `${field}.selector`, why });
    }
    problems.push(...stepProblems(`${field}.steps`, stage.steps));
  }
  return problems;
}

function stepProblems(field: string, steps: readonly Share[]): readonly Problem[] {
  if (steps.length > stepsMax) {
    return [{ field, why: `are ${steps.length}; at most ${stepsMax} are allowed` }];
  }
  return steps.flatMap((step, i) => shareProblems(`${field}[${i}]`, step));
}

function shareProblems(field: string, share: Share): readonly Problem[] {
  const [size, max, what] =
    "count" in share ? [share.count, countMax, "clusters"] : [share.percent, 100, "percent"];
  if (Number.isInteger(size) && size >= 1 && size <= max) return [];
  return [{ field, why: `is ${size} ${what}; 1 to ${max} is allowed` }];
}

/** "5" or "10%". */
export function shareText(share: Share): string {
  return "count" in share ? String(share.count) : `${share.percent}%`;
}

/** The number of the stage that a cluster belongs to; the count of stages for one that belongs to none. */
export function stageOf(spec: RolloutSpec, labels: Readonly<Record<string, string>>): number {
  const { stages } = strategyOf(spec);
  const found = stages.findIndex(({ selector }) => matchesSelector(selector, labels));
  return found === -1 ? stages.length : found;
}

/** How many clusters may be given the bundle and not have proved it; rounded down, but never none: it has to move. */
export function unavailableAllowed(spec: RolloutSpec, clusters: number): number {
  const share = strategyOf(spec).unavailableMax;
  if (share === undefined) return Number.POSITIVE_INFINITY;
  return "count" in share ? share.count : Math.max(1, Math.floor((clusters * share.percent) / 100));
}

/** How many clusters may fail; a share is rounded down. */
export function failuresAllowed(spec: RolloutSpec, clusters: number): number {
  const percent = strategyOf(spec).failuresPercentMax;
  return percent === undefined ? spec.failuresMax : Math.floor((clusters * percent) / 100);
}
