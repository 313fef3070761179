import type { RolloutCluster } from "../rollout-cluster.ts";
import type { RolloutSpec } from "../rollout-spec.ts";
import type { RolloutSnapshot, RolloutStep } from "../rollout-step.ts";
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

/**
 * The step without what begins a wave, while none may begin. What is under way goes on, and whatever sends clusters back
 * is not touched. A step that may begin a wave says so, because a freeze that comes in between has to stop it.
 */
export function holdBack(snapshot: RolloutSnapshot, step: RolloutStep): RolloutStep {
  const { rollout, clusters, freeze, nowMs } = snapshot;
  const beginning = beginningBy(step, clusters);
  const isNext = step.event === "wave-done";
  if (beginning.size === 0 && !isNext) return step;
  const why = heldBy(rollout.spec, freeze, nowMs);
  if (why === undefined) return { ...step, begins: beginning.size > 0 };

  const changes = step.changes.filter(({ id }) => !beginning.has(id));
  if (changes.length > 0) return { ...step, changes };
  const name = (wave: number) => rollout.waves[wave]?.name ?? "";
  const because = isNext
    ? `"${name(rollout.wave)}" is done; "${name(rollout.wave + 1)}" does not begin: ${why}`
    : `"${name(rollout.wave)}" does not begin: ${why}`;
  return { changes: [], because };
}

/** The clusters that a step gives the bundle although their wave is not under way, or that it tries again. */
function beginningBy(step: RolloutStep, clusters: readonly RolloutCluster[]): ReadonlySet<string> {
  const given = new Set(step.changes.filter(({ to }) => to === "assigned").map(({ id }) => id));
  if (given.size === 0) return given;
  const underWay = new Set(clusters.filter(({ generation }) => generation > 0n).map(({ wave }) => wave));
  const isBeginning = (c: RolloutCluster) => given.has(c.id) && (c.generation > 0n || !underWay.has(c.wave));
  return new Set(clusters.filter(isBeginning).map(({ id }) => id));
}
