import type { BundleKind } from "../rollout-spec.ts";
import type { GateFacts } from "./facts.ts";
import { renderAmount, type GateSetting, type GateVerdict } from "./gate.ts";
import { decide, fine } from "./vote.ts";

/** Conditions that have other causes than a bundle: clocks, disks, metadata, the link. */
const others = /^(?:trust|disk|audit|clock|link|monitor|state)\//;
/** Rules neither read nor send: an output that is away is not their doing. */
const ofShippers = /^(?:input|output)\//;

/** Whether a condition that appears while a bundle runs counts against it. One that nobody has heard of counts. */
export function countsAgainst(kind: BundleKind, code: string): boolean {
  return !others.test(code) && (kind === "shipper" || !ofShippers.test(code));
}

/** More clusters than the limit's share raise a condition that they did not have before the bundle ran. */
export function judgeHealth(setting: GateSetting, { wave, size }: GateFacts): GateVerdict {
  const ill = wave.filter(({ troubles }) => troubles.length > 0).length;
  return decide({
    setting,
    wave,
    size,
    votes: wave.map(({ troubles: [trouble] }) =>
      trouble === undefined ? fine : { kind: "over", by: trouble },
    ),
    measured: renderAmount("health", wave.length === 0 ? 0 : ill / wave.length),
    over: "raise conditions since the bundle runs",
    fine: "no agent raises a condition that it did not have",
    needed: Math.floor(setting.limit * size) + 1,
  });
}
