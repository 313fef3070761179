import type { RolloutCluster } from "../rollout-cluster.ts";
import type { RolloutSpec } from "../rollout-spec.ts";
import type { RolloutSnapshot } from "../rollout-step.ts";
import { windowsOf } from "./spec.ts";
import { isOpen, nextOpening } from "./window.ts";
import { shownTime } from "./zone.ts";

/** A time in which no wave begins, anywhere in the fleet. */
export interface Freeze {
  readonly reason: string;
  readonly by: string;
  readonly untilMs?: number;
}

/** Why no wave of a rollout may begin now, in words that stay the same while nothing changes; undefined when one may. */
export function heldBy(spec: RolloutSpec, freeze: Freeze | undefined, nowMs: number): string | undefined {
  if (spec.people?.emergency === true) return undefined;
  if (freeze !== undefined) {
    const until = freeze.untilMs === undefined ? "" : `, until ${shownTime("UTC", freeze.untilMs)}`;
    return `the fleet is frozen by ${freeze.by} (${freeze.reason})${until}`;
  }
  const parsed = windowsOf(spec);
  if (!parsed.ok) {
    const named = (spec.people?.windows ?? []).join("; ");
    return `this server cannot read its windows (${named}): use a Node that knows their time zones`;
  }
  const windows = parsed.value;
  if (isOpen(windows, nowMs)) return undefined;
  const next = nextOpening(windows, nowMs);
  const named = windows.map(({ text }) => text).join("; ");
  const zone = windows[0]?.zone ?? "UTC";
  const when = next === undefined ? "opens on no day that comes" : `opens next ${shownTime(zone, next)}`;
  return `its window ${when} (${named})`;
}

/** What keeps clusters from being given the bundle now. */
export interface Hold {
  /** In words that stay the same while nothing changes. */
  readonly why: string;
  /** Whether it keeps this cluster, which waits, from it: what is under way goes on. */
  readonly holds: (cluster: RolloutCluster) => boolean;
}

/** The hold of now; undefined while everything may begin. */
export function holdOf({
  rollout,
  clusters,
  freeze,
  nowMs,
}: Pick<RolloutSnapshot, "rollout" | "clusters" | "freeze" | "nowMs">): Hold | undefined {
  const why = heldBy(rollout.spec, freeze, nowMs);
  return why === undefined ? undefined : { why, holds: beginningIn(clusters) };
}

/**
 * Whether a cluster that is given the bundle begins: its wave is not under way, it is tried again, or it came later, so that no wave
 * looks at it. What begins says so, because a freeze that comes in between has to stop it.
 */
export function beginningIn(clusters: readonly RolloutCluster[]): (cluster: RolloutCluster) => boolean {
  const given = clusters.filter(({ generation, late }) => generation > 0n && late !== true);
  const underWay = new Set(given.map(({ wave }) => wave));
  return ({ generation, late, wave }) => late === true || generation > 0n || !underWay.has(wave);
}
