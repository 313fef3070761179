import { create } from "@bufbuild/protobuf";

import {
  GateSettingSchema,
  OnFailure,
  RolloutSpecSchema,
  type GateSetting,
  type RolloutSpec as RolloutSpecMessage,
} from "#proto/fleet/v1/rollout_spec";

import { parseGates, renderLimit } from "../../domain/gates/gate.ts";
import { kindOf } from "../../domain/component.ts";
import { invalid, type Outcome } from "../../domain/refusal.ts";
import { parseRolloutSpec, type RolloutSpec } from "../../domain/rollout-spec.ts";
import { fromStrategy, toStrategy } from "./strategy.ts";
import { fromPeople, toPeople } from "./people-spec.ts";
import { componentIn, fromKind, fromSelector, toKind, toSelector } from "../messages.ts";

const policies = { pause: OnFailure.PAUSE, "roll-back": OnFailure.ROLL_BACK } as const;

/** Reads a spec off the wire, complete with defaults. */
export function fromSpec(message: RolloutSpecMessage | undefined): Outcome<RolloutSpec> {
  if (message === undefined) return invalid("spec", "is missing");
  const kind = fromKind(message.kind);
  if (kind === undefined) return invalid("spec.kind", "has to be rules, shipper or layer");
  const component = componentIn("spec.bundle", kind, message.bundle);
  if (!component.ok) return component;
  const selector = fromSelector("spec.selector", message.selector);
  if (!selector.ok) return selector;
  if (message.onFailure > OnFailure.ROLL_BACK) {
    return invalid("spec.on_failure", "has to be pause or roll back");
  }
  const strategy = fromStrategy(message);
  if (!strategy.ok) return strategy;
  // An emergency has no soak, so no gate that needs one is on by itself.
  const gates = parseGates(message.gates, message.emergency ? 0 : message.soakSeconds);
  if (!gates.ok) return gates;
  return parseRolloutSpec({
    kind: component.value,
    bundle: message.bundle,
    selector: selector.value,
    canary: message.canary,
    growth: message.growth,
    regionOrder: message.regionOrder,
    failuresMax: message.maxFailures,
    soakSeconds: message.soakSeconds,
    deadlineSeconds: message.deadlineSeconds,
    onFailure: message.onFailure === OnFailure.ROLL_BACK ? "roll-back" : "pause",
    ...(strategy.value === undefined ? {} : { strategy: strategy.value }),
    gates: gates.value,
    ...(message.allowCoverageLoss ? { allowCoverageLoss: true } : {}),
    people: fromPeople(message),
    ...(message.shadowSeconds > 0 ? { shadowSeconds: message.shadowSeconds } : {}),
    ...(message.shadowThenGo ? { shadowThenGo: true } : {}),
  });
}

/** The gates that are on, as they could be asked for again. */
export function toGates({ gates = [] }: RolloutSpec): GateSetting[] {
  return gates.map((gate) => create(GateSettingSchema, { name: gate.name, limit: renderLimit(gate) }));
}

export function toSpec(spec: RolloutSpec): RolloutSpecMessage {
  return create(RolloutSpecSchema, {
    kind: toKind(kindOf(spec.kind)),
    bundle: spec.bundle,
    selector: toSelector(spec.selector),
    canary: spec.canary,
    growth: spec.growth,
    regionOrder: [...spec.regionOrder],
    maxFailures: spec.failuresMax,
    soakSeconds: spec.soakSeconds,
    deadlineSeconds: spec.deadlineSeconds,
    onFailure: policies[spec.onFailure],
    gates: toGates(spec),
    allowCoverageLoss: spec.allowCoverageLoss === true,
    shadowSeconds: spec.shadowSeconds ?? 0,
    shadowThenGo: spec.shadowThenGo === true,
    ...toStrategy(spec),
    ...toPeople(spec),
  });
}
