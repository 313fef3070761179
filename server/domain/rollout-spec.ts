import type { ComponentName } from "./component.ts";
import type { GateSetting } from "./gates/gate.ts";
import { isLabelValue } from "./labels.ts";
import { accept, refuse, type Outcome, type Problem } from "./refusal.ts";
import { strategyProblems, type Strategy } from "./rollout-strategy.ts";
import { peopleProblems, withPeople, type PeopleSpec } from "./people/spec.ts";
import type { Selector } from "./selector.ts";

/** What a person asked for, complete: every default is filled in. Stored with the rollout as it is. */
export interface RolloutSpec {
  readonly kind: ComponentName;
  /** A digest, NAME@VERSION, or NAME; empty means the newest bundle of the kind. Of a layer never a digest, and never empty. */
  readonly bundle: string;
  readonly selector: Selector;
  /** Clusters in the first wave. */
  readonly canary: number;
  /** Each wave of a region is this many times the one before. */
  readonly growth: number;
  readonly regionOrder: readonly string[];
  /** More failed clusters than this stop the rollout. */
  readonly failuresMax: number;
  readonly soakSeconds: number;
  readonly deadlineSeconds: number;
  readonly onFailure: "pause" | "roll-back";
  /** The gates that are on, with their limits; none in rollouts of before there were gates. */
  readonly gates?: readonly GateSetting[];
  /** Whether it may start although coverage is lost; a person's word, kept with the rollout. */
  readonly allowCoverageLoss?: boolean;
  /** How long clusters evaluate the bundle beside what they run, before the first wave; absent for not at all. */
  readonly shadowSeconds?: number;
  /** Whether the first wave begins by itself when the shadow is over. */
  readonly shadowThenGo?: boolean;
  /** Absent: the plain one. */
  readonly strategy?: Strategy;
  /** Windows, schedule, emergency; absent when nothing is said of them. */
  readonly people?: PeopleSpec;
}

const bounds = {
  canary: [1, 10_000],
  growth: [1, 100],
  failuresMax: [0, 100_000],
  soakSeconds: [0, 7 * 86_400],
  deadlineSeconds: [5, 7 * 86_400],
} as const satisfies Partial<Record<keyof RolloutSpec, readonly [number, number]>>;

export const rolloutDefaults = { canary: 1, growth: 3, deadlineSeconds: 600 } as const;

/** Fills in the defaults (0 means the default) and refuses what is out of bounds, every bad field at once. */
export function parseRolloutSpec(raw: RolloutSpec): Outcome<RolloutSpec> {
  const spec: RolloutSpec = withPeople({
    ...raw,
    canary: raw.canary === 0 ? rolloutDefaults.canary : raw.canary,
    growth: raw.growth === 0 ? rolloutDefaults.growth : raw.growth,
    deadlineSeconds: raw.deadlineSeconds === 0 ? rolloutDefaults.deadlineSeconds : raw.deadlineSeconds,
  });
  const problems: Problem[] = [];
  for (const [field, [min, max]] of Object.entries(bounds)) {
    const value = spec[field as keyof typeof bounds];
    if (!Number.isInteger(value) || value < min || value > max) {
      problems.push({
        field: wireNames[field as keyof typeof bounds],
        why: `is ${value}; ${min} to ${max} is allowed`,
      });
    }
  }
  problems.push(...shadowProblems(spec));
  problems.push(...strategyProblems(spec.strategy));
  problems.push(...peopleProblems(spec));
  if (spec.bundle.length > 300) problems.push({ field: "bundle", why: "is longer than 300 characters" });
  if (spec.regionOrder.length > 256) {
    problems.push({ field: "region_order", why: "names more than 256 regions" });
  }
  const bad = spec.regionOrder.find((region) => !isLabelValue(region));
  if (bad !== undefined) {
    problems.push({ field: "region_order", why: `"${bad.slice(0, 80)}" is no region: it is no label value` });
  }
  const twice = spec.regionOrder.find((region, i) => spec.regionOrder.indexOf(region) !== i);
  if (twice !== undefined) {
    problems.push({ field: "region_order", why: `names "${twice.slice(0, 80)}" twice` });
  }
  return problems.length > 0 ? refuse({ kind: "invalid", problems }) : accept(spec);
}

const shadowSecondsMax = 7 * 86_400;

function shadowProblems({ kind, shadowSeconds, shadowThenGo }: RolloutSpec): readonly Problem[] {
  if (shadowSeconds === undefined) {
    return shadowThenGo === true
      ? [{ field: "shadow_then_go", why: "says what follows a shadow: give its time, too" }]
      : [];
  }
  if (kind === "shipper") return [{ field: "shadow_seconds", why: "is for rules and their layers only" }];
  const isFit = Number.isInteger(shadowSeconds) && shadowSeconds >= 5 && shadowSeconds <= shadowSecondsMax;
  return isFit
    ? []
    : [{ field: "shadow_seconds", why: `is ${shadowSeconds}; 5 to ${shadowSecondsMax} is allowed` }];
}

const wireNames: Readonly<Record<keyof typeof bounds, string>> = {
  canary: "canary",
  growth: "growth",
  failuresMax: "max_failures",
  soakSeconds: "soak_seconds",
  deadlineSeconds: "deadline_seconds",
};
