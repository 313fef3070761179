import { create } from "@bufbuild/protobuf";
import { Flags } from "./oclif.ts";
import {
  OfflinePolicy,
  type Share,
  ShareSchema,
  type Stage,
  StageSchema,
} from "#proto/fleet/v1/rollout_spec";
import { misused } from "./failure.ts";
import { asList, envOf, listFlag, textFlag, valuesOf } from "./flags.ts";
import { requirementIn, selectorOf } from "./selector.ts";

/** A flag that takes a number of clusters or a percentage of them. */
export const shareFlag = (flag: string, summary: string, min: number) =>
  Flags.custom<Share>({
    summary,
    helpValue: "N|N%",
    env: envOf(flag),
    parse: async (input) => {
      const share = parseShare(input, min);
      if (share === undefined) {
        throw misused(
          `--${flag} "${input}" is neither a number of clusters nor a percentage from 1% to 100%`,
          `--${flag} 5, or --${flag} 10%`,
        );
      }
      return share;
    },
  })();

/** "5" or "10%"; undefined for anything else, and for counts under `min` or over 100000. */
export function parseShare(text: string, min: number): Share | undefined {
  const [, digits, unit] = /^(\d{1,6})(%?)$/.exec(text.trim()) ?? [];
  if (digits === undefined) return undefined;
  const value = Number(digits);
  if (unit === "%") {
    return value >= 1 && value <= 100 ? create(ShareSchema, { size: { case: "percent", value } }) : undefined;
  }
  return value >= min && value <= 100_000
    ? create(ShareSchema, { size: { case: "count", value } })
    : undefined;
}

export const offlineWords = ["count", "wait", "skip"] as const;
export type OfflineWord = (typeof offlineWords)[number];

const policies: Readonly<Record<OfflineWord, OfflinePolicy>> = {
  count: OfflinePolicy.COUNT,
  wait: OfflinePolicy.WAIT,
  skip: OfflinePolicy.SKIP,
};

/** How the waves are made and what holds them back. */
export const strategyFlags = {
  strategy: textFlag("strategy", "File that says how (YAML); flags that are given win over it.", "FILE"),
  stages: Flags.string({
    summary: "Label and its values in the order in which they are taken: all of one before the next.",
    helpValue: "KEY=VALUE,VALUE,...",
    env: envOf("stages"),
  }),
  steps: listFlag(
    "steps",
    "How far each wave goes, as 1,10%,50%,100%: the clusters that have the bundle after it.",
    "N|N%",
  ),
  "max-unavailable": shareFlag(
    "max-unavailable",
    "At most so many clusters have got the bundle and not proved it yet; no bound if not given.",
    1,
  ),
  "max-failures": shareFlag(
    "max-failures",
    "More failed clusters than this stop the rollout; 0 if not given.",
    0,
  ),
  offline: Flags.option({
    summary:
      "Silent clusters: count them as failed at the deadline (the default), wait for them, or skip them and catch up later.",
    options: offlineWords,
    env: envOf("offline"),
  })(),
};

/** The parts of a spec that flags or a file decide; what is left out is the server's default. */
export interface StrategyChoice {
  readonly canary?: number | undefined;
  readonly growth?: number | undefined;
  readonly regionOrder?: readonly string[] | undefined;
  readonly steps?: readonly Share[] | undefined;
  readonly stages?: readonly Stage[] | undefined;
  readonly maxUnavailable?: Share | undefined;
  readonly maxFailures?: Share | undefined;
  readonly soak?: number | undefined;
  readonly deadline?: number | undefined;
  readonly offline?: OfflineWord | undefined;
  readonly onFailure?: "pause" | "rollback" | undefined;
  readonly gates?: readonly GateChoice[] | undefined;
}

/** What a wave is judged by, or not; an empty limit is the usual one. */
export interface GateChoice {
  readonly name: string;
  readonly limit: string;
  readonly off: boolean;
}

export type StrategyFlags = {
  readonly stages?: string | undefined;
  readonly steps?: string[] | undefined;
  readonly canary?: number | undefined;
  readonly growth?: number | undefined;
  readonly "region-order"?: string[] | undefined;
  readonly "max-unavailable"?: Share | undefined;
  readonly "max-failures"?: Share | undefined;
  readonly soak?: number | undefined;
  readonly deadline?: number | undefined;
  readonly offline?: OfflineWord | undefined;
  readonly "on-failure"?: "pause" | "rollback" | undefined;
  readonly gate?: string[] | undefined;
  readonly "no-gate"?: string[] | undefined;
};

/** What the flags say, each in place of what the file says. */
export function overlay(file: StrategyChoice, flags: StrategyFlags): StrategyChoice {
  return {
    canary: flags.canary ?? file.canary,
    growth: flags.growth ?? file.growth,
    regionOrder:
      asList(flags["region-order"]).length > 0 ? valuesOf(flags["region-order"]) : file.regionOrder,
    steps: asList(flags.steps).length > 0 ? stepsFrom(flags.steps) : file.steps,
    stages: flags.stages === undefined ? file.stages : stagesFrom(flags.stages),
    maxUnavailable: flags["max-unavailable"] ?? file.maxUnavailable,
    maxFailures: flags["max-failures"] ?? file.maxFailures,
    soak: flags.soak ?? file.soak,
    deadline: flags.deadline ?? file.deadline,
    offline: flags.offline ?? file.offline,
    onFailure: flags["on-failure"] ?? file.onFailure,
    gates: gatesFrom(file.gates ?? [], flags),
  };
}

/** The fields of a spec that the choice decides. */
export function strategyFields(choice: StrategyChoice) {
  const { maxUnavailable, maxFailures, offline } = choice;
  const failures = maxFailures?.size;
  return {
    canary: choice.canary ?? 0,
    growth: choice.growth ?? 0,
    regionOrder: [...(choice.regionOrder ?? [])],
    steps: [...(choice.steps ?? [])],
    stages: [...(choice.stages ?? [])],
    maxFailures: failures?.case === "count" ? failures.value : 0,
    maxFailuresPercent: failures?.case === "percent" ? failures.value : 0,
    soakSeconds: choice.soak ?? 0,
    deadlineSeconds: choice.deadline ?? 0,
    gates: [...(choice.gates ?? [])],
    ...(maxUnavailable === undefined ? {} : { maxUnavailable }),
    ...(offline === undefined ? {} : { offline: policies[offline] }),
  };
}

/** The gates of the file, but for those that a flag names. */
function gatesFrom(file: readonly GateChoice[], flags: StrategyFlags): readonly GateChoice[] {
  const on = valuesOf(flags.gate).map((text) => {
    const [name = "", ...limit] = text.split("=");
    return { name, limit: limit.join("="), off: false };
  });
  const off = valuesOf(flags["no-gate"]).map((name) => ({ name, limit: "", off: true }));
  const both = on.find(({ name }) => off.some((each) => each.name === name));
  if (both !== undefined) throw misused(`--gate and --no-gate both name "${both.name.slice(0, 80)}"`);
  const named = new Set([...on, ...off].map(({ name }) => name));
  return [...file.filter(({ name }) => !named.has(name)), ...on, ...off];
}

function stepsFrom(steps: readonly string[] | undefined): Share[] {
  return valuesOf(steps).map((text) => {
    const share = parseShare(text, 1);
    if (share !== undefined) return share;
    throw misused(
      `--steps "${text.slice(0, 80)}" is neither a number of clusters nor a percentage from 1% to 100%`,
      "--steps 1,10%,50%,100%",
    );
  });
}

function stagesFrom(text: string): Stage[] {
  const [, key = "", list = ""] = /^([^=,\s]+)=(.+)$/.exec(text.trim()) ?? [];
  const values = valuesOf([list]);
  if (values.length === 0) {
    throw misused(
      `--stages "${text.slice(0, 80)}" is not a label and its values`,
      "--stages environment=test,stage,prod",
    );
  }
  return values.map((value) =>
    create(StageSchema, { name: value, selector: selectorOf([requirementIn(key, [value])]), steps: [] }),
  );
}
