import { shownTime } from "../people/zone.ts";
import type { Rollout } from "../rollout.ts";
import { watchedMinutesMin } from "./facts.ts";
import type { GateVerdict } from "./gate.ts";

/** What the gates of the wave in work said last. */
export interface GateJudgement {
  readonly verdicts: readonly GateVerdict[];
  readonly judgedAtMs: number;
}

/**
 * Why a gate stops the rollout now, or undefined. A gate that fails does not wait for the end of the soak. Of a wave that has passed and
 * that only the hour holds up, health alone still counts: rates of a night or a weekend are no news of the bundle.
 */
export function gateFailure(
  rollout: Rollout,
  gates: GateJudgement | undefined,
  isPassed: boolean,
): string | undefined {
  const failed = (gates?.verdicts ?? []).filter(
    ({ gate, state }) => state === "fails" && (!isPassed || gate === "health"),
  );
  if (failed.length === 0) return undefined;
  return `"${waveName(rollout)}" fails: ${failed.map(({ gate, words }) => `gate ${gate}: ${words}`).join("; ")}`;
}

/** A wave that has proved and soaked, as far as its gates are concerned. */
export interface SoakedWave {
  /** When its last cluster proved. */
  readonly provedMs: number;
  /** Of one that has passed, when the next could begin at last. */
  readonly soakedMs: number;
  /** Only the hour held it up, so health alone is asked: see `gateFailure`. */
  readonly isPassed: boolean;
}

export type GateWait =
  | { readonly kind: "passes" }
  | { readonly kind: "waits" | "late"; readonly because: string };

/**
 * Whether the gates let a soaked wave pass. Only verdicts that say so, made after its last cluster proved, do: silence
 * and missing data wait, and are late at the deadline, which is counted from when there could have been enough to see.
 */
export function askGates(
  rollout: Rollout,
  gates: GateJudgement | undefined,
  { provedMs, soakedMs, isPassed }: SoakedWave,
  nowMs: number,
): GateWait {
  const settings = (rollout.spec.gates ?? []).filter(({ name }) => !isPassed || name === "health");
  if (settings.length === 0) return { kind: "passes" };
  const fromMs = watchedFromMs(rollout, provedMs);
  const isNew = gates !== undefined && gates.judgedAtMs >= fromMs;
  const open = settings.flatMap(({ name }) => {
    const verdict = isNew ? gates.verdicts.find(({ gate }) => gate === name) : undefined;
    if (verdict?.state === "holds") return [];
    return [`gate ${name} waits: ${verdict?.words ?? "it was not judged since the last cluster proved"}`];
  });
  if (open.length === 0) return { kind: "passes" };
  const byMinute = settings.some(({ name }) => name !== "health") ? (watchedMinutesMin + 2) * 60_000 : 0;
  const deadlineMs = Math.max(soakedMs, fromMs + byMinute) + rollout.spec.deadlineSeconds * 1000;
  const because = open.join("; ");
  if (nowMs < deadlineMs) {
    const by = shownTime("UTC", deadlineMs);
    return {
      kind: "waits",
      because: `"${waveName(rollout)}" has soaked; ${because}; fails at ${by} unless that is over`,
    };
  }
  const since = isPassed ? "of when the next could begin" : "after its soak";
  const late = `"${waveName(rollout)}" could not be judged within ${rollout.spec.deadlineSeconds} s ${since}`;
  return { kind: "late", because: `${late}: ${because}` };
}

/** From when a cluster that proved then is watched: not before somebody resumed the rollout, who has seen what was. */
export function watchedFromMs(rollout: Rollout, provedMs: number): number {
  return Math.max(provedMs, rollout.waves[rollout.wave]?.resumedAtMs ?? 0);
}

function waveName(rollout: Rollout): string {
  return rollout.waves[rollout.wave]?.name ?? "";
}
