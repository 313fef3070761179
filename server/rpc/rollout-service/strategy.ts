import { create } from "@bufbuild/protobuf";

import {
  OfflinePolicy as WirePolicy,
  ShareSchema,
  StageSchema,
  type RolloutSpec as RolloutSpecMessage,
  type Share as ShareMessage,
} from "#proto/fleet/v1/rollout_spec";

import { accept, invalid, type Outcome } from "../../domain/refusal.ts";
import type { RolloutSpec } from "../../domain/rollout-spec.ts";
import {
  stagesMax,
  type OfflinePolicy,
  type Share,
  type Stage,
  type Strategy,
} from "../../domain/rollout-strategy.ts";
import { fromSelector, toSelector } from "../messages.ts";

const policies = {
  count: WirePolicy.COUNT,
  wait: WirePolicy.WAIT,
  skip: WirePolicy.SKIP,
} as const satisfies Record<OfflinePolicy, WirePolicy>;

/** Reads the strategy off the wire; undefined when the spec says nothing of it. */
export function fromStrategy(message: RolloutSpecMessage): Outcome<Strategy | undefined> {
  const offline = policyOf(message.offline);
  if (offline === undefined) return invalid("spec.offline", "has to be count, wait or skip");
  if (message.stages.length > stagesMax) {
    return invalid("spec.stages", `are ${message.stages.length}; at most ${stagesMax} are allowed`);
  }
  const stages: Stage[] = [];
  for (const [i, { name, selector, steps }] of message.stages.entries()) {
    const read = fromSelector(`spec.stages[${i}].selector`, selector);
    if (!read.ok) return read;
    stages.push({ name, selector: read.value, steps: steps.map(fromShare) });
  }
  const { maxUnavailable, maxFailuresPercent } = message;
  const strategy: Strategy = {
    stages,
    steps: message.steps.map(fromShare),
    offline,
    ...(maxUnavailable === undefined ? {} : { unavailableMax: fromShare(maxUnavailable) }),
    ...(maxFailuresPercent === 0 ? {} : { failuresPercentMax: maxFailuresPercent }),
  };
  // A spec that says nothing is stored, and hashed, as those of clients that know nothing of strategies.
  const isPlain = Object.keys(strategy).length === 3 && stages.length + strategy.steps.length === 0;
  return accept(isPlain && offline === "count" ? undefined : strategy);
}

/** The fields of a spec's message that hold its strategy. */
export function toStrategy({ strategy }: RolloutSpec) {
  if (strategy === undefined) return {};
  const { unavailableMax, failuresPercentMax, offline, stages, steps } = strategy;
  return {
    ...(unavailableMax === undefined ? {} : { maxUnavailable: toShare(unavailableMax) }),
    maxFailuresPercent: failuresPercentMax ?? 0,
    offline: policies[offline],
    steps: steps.map(toShare),
    stages: stages.map((stage) =>
      create(StageSchema, {
        name: stage.name,
        selector: toSelector(stage.selector),
        steps: stage.steps.map(toShare),
      }),
    ),
  };
}

function policyOf(policy: WirePolicy): OfflinePolicy | undefined {
  if (policy === WirePolicy.UNSPECIFIED) return "count";
  return (Object.keys(policies) as OfflinePolicy[]).find((name) => policies[name] === policy);
}

/** A share without a size is one of zero, which the domain refuses by name. */
function fromShare({ size }: ShareMessage): Share {
  return size.case === "percent" ? { percent: size.value } : { count: size.value ?? 0 };
}

function toShare(share: Share): ShareMessage {
  return create(ShareSchema, {
    size:
      "count" in share ? { case: "count", value: share.count } : { case: "percent", value: share.percent },
  });
}
