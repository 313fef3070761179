import type { ComponentName } from "../component.ts";
import type { GateCluster, GateFacts } from "./facts.ts";
import { renderAmount, type GateSetting, type GateVerdict } from "./gate.ts";
import { decide, fine, type Vote } from "./vote.ts";

/** Conditions that have other causes than a bundle: clocks, disks, metadata, the link. */
const others = /^(?:trust|disk|audit|clock|link|monitor|state)\//;
/** Rules neither read nor send: an output that is away is not their doing. */
const ofShippers = /^(?:input|output)\//;

/** Whether a condition that appears while a bundle runs counts against it. One that nobody has heard of counts. */
export function countsAgainst(kind: ComponentName, code: string): boolean {
  return !others.test(code) && (kind === "shipper" || !ofShippers.test(code));
}

/** Whether it is that sessions begin again and again, for which a network may be to blame as well as a bundle. */
export function isFlapping(trouble: string): boolean {
  return trouble.endsWith(": session/flapping");
}

/**
 * More clusters than the limit's share raise a condition that they did not have before the bundle ran. While clusters without the
 * bundle flap at least half as often as those of the wave do, nobody can tell whether it is the bundle.
 */
export function judgeHealth(setting: GateSetting, facts: GateFacts): GateVerdict {
  const { wave, size, flappingOutside = 0 } = facts;
  const ill = wave.filter(({ troubles }) => troubles.length > 0).length;
  const flapping = wave.filter(({ troubles }) => troubles.some(isFlapping)).length;
  const isElsewhere = flappingOutside > 0 && 2 * flappingOutside * wave.length >= flapping;
  return decide({
    setting,
    wave,
    size,
    votes: wave.map((cluster) => voteOf(cluster, isElsewhere)),
    measured: renderAmount("health", wave.length === 0 ? 0 : ill / wave.length),
    over: "raise conditions since the bundle runs",
    fine: "no agent raises a condition that it did not have",
    needed: Math.floor(setting.limit * size) + 1,
  });
}

function voteOf({ troubles }: GateCluster, isElsewhere: boolean): Vote {
  const trouble = isElsewhere ? troubles.find((each) => !isFlapping(each)) : troubles[0];
  if (trouble !== undefined) return { kind: "over", by: trouble };
  if (troubles.length === 0) return fine;
  const why = "sessions begin again and again, and so they do at clusters that do not have the bundle";
  return { kind: "missing", why };
}
