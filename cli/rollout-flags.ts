import { create } from "@bufbuild/protobuf";
import { Flags } from "./oclif.ts";
import type { BundleKind } from "#proto/fleet/v1/common";
import { OnFailure, type RolloutSpec, RolloutSpecSchema } from "#proto/fleet/v1/rollout_spec";
import { peopleFlags, peopleFrom, type PeopleValues } from "./people-flags.ts";
import {
  allFlag,
  chosenFrom,
  countFlag,
  durationFlag,
  envOf,
  listFlag,
  selectorFlags,
  selectorFrom,
  textFlag,
} from "./flags.ts";
import { readStrategyFile } from "./strategy-file.ts";
import { overlay, strategyFields, strategyFlags, type StrategyFlags } from "./strategy-flags.ts";

/** What `rollout rules` and `rollout shipper` take. */
export const rolloutFlags = {
  ...selectorFlags,
  all: allFlag,
  bundle: textFlag(
    "bundle",
    "Bundle to roll out; the newest version of what the clusters have if not given.",
    "NAME[@VERSION]|DIGEST",
  ),
  canary: countFlag("canary", "Clusters in the first wave; one if not given.", 1, 10_000),
  growth: countFlag(
    "growth",
    "Each wave of a region is this many times the one before; 3 if not given.",
    1,
    1000,
  ),
  ...strategyFlags,
  "region-order": listFlag("region-order", "Regions in the order in which they are taken.", "NAME"),
  soak: durationFlag("soak", "How long a wave has to stay proved and healthy before the next begins."),
  deadline: durationFlag("deadline", "How long a cluster may take to prove; 10m if not given."),
  "on-failure": Flags.option({
    summary: "What happens when more clusters fail than allowed; pause if not given.",
    options: ["pause", "rollback"] as const,
    env: envOf("on-failure"),
  })(),
  gate: listFlag(
    "gate",
    "Judge each wave by this, with the usual limit or another: health, ingest, drops, lag, cost, alerts, new-alerts, silence. Health is on by itself, all are with a soak of 5m or longer.",
    "NAME[=LIMIT]",
  ),
  "no-gate": listFlag("no-gate", "Do not judge waves by this.", "NAME"),
  "dry-run": Flags.boolean({
    summary:
      "Show the plan (waves, clusters, what changes in rules and coverage, who cannot take it) and do nothing.",
    env: envOf("dry-run"),
  }),
  "allow-coverage-loss": Flags.boolean({
    summary: "Start although clusters will notice less, as --dry-run shows it; it is kept with the rollout.",
    env: envOf("allow-coverage-loss"),
  }),
  ...peopleFlags,
  plan: textFlag(
    "plan",
    "Refuse when the plan is no longer the one with this digest, as --dry-run showed it.",
    "DIGEST",
  ),
  watch: Flags.boolean({
    summary: "Follow the rollout to its end; the default on a terminal.",
    env: envOf("watch"),
    allowNo: true,
  }),
};

/** What only `rollout rules` takes. */
export const shadowFlags = {
  shadow: durationFlag(
    "shadow",
    "First let the clusters evaluate the bundle beside what they run for so long; nothing is emitted.",
  ),
  // oxlint-disable-next-line unicorn/no-thenable -- it is no function, and nobody awaits these flags
  then: Flags.option({
    summary: "What happens when the shadow is over: wait for fleetctl rollout resume, or go on.",
    options: ["pause", "go"] as const,
    dependsOn: ["shadow"],
    env: envOf("then"),
  })(),
};

/** What `rollout rules` and `rules backtest` take in place of a bundle. */
export const layerFlag = Flags.string({
  summary:
    "Release of a layer that a team owns, in place of a bundle; for the clusters of its delegation, or fewer.",
  helpValue: "NAME[@VERSION]",
  env: envOf("layer"),
  exclusive: ["bundle"],
});

type SpecFlags = Parameters<typeof chosenFrom>[0] &
  StrategyFlags & {
    readonly bundle?: string | undefined;
    readonly strategy?: string | undefined;
    readonly "allow-coverage-loss": boolean;
    readonly layer?: string | undefined;
    readonly shadow?: number | undefined;
    readonly then?: "pause" | "go" | undefined;
  };

/** The spec that the flags and the strategy file mean; 0 leaves a choice to the server, as the contract says. */
export async function specFrom(kind: BundleKind, flags: SpecFlags & PeopleValues): Promise<RolloutSpec> {
  // A layer is confined by its delegation: that nobody may mean every cluster by forgetting a flag is no danger there.
  const isNarrow = flags.layer !== undefined && !flags.all;
  const selector = isNarrow ? selectorFrom(flags) : chosenFrom(flags);
  const file = flags.strategy === undefined ? {} : await readStrategyFile(flags.strategy);
  const choice = overlay(file, flags);
  return create(RolloutSpecSchema, {
    kind,
    bundle: flags.layer ?? flags.bundle ?? "",
    selector,
    ...strategyFields(choice),
    onFailure: choice.onFailure === "rollback" ? OnFailure.ROLL_BACK : OnFailure.PAUSE,
    allowCoverageLoss: flags["allow-coverage-loss"],
    ...peopleFrom(flags),
    shadowSeconds: flags.shadow ?? 0,
    shadowThenGo: flags.then === "go",
  });
}
