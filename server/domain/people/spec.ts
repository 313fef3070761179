import type { Outcome, Problem } from "../refusal.ts";
import type { RolloutSpec } from "../rollout-spec.ts";
import { failuresAllowed, shareText, strategyOf } from "../rollout-strategy.ts";
import { parseWindows, type MaintenanceWindow } from "./window.ts";

/** What a rollout has to do with people and their hours. All of it is part of the plan, so of its digest. */
export interface PeopleSpec {
  /** When waves may begin, as `parseWindow` reads and shows them; none means always. */
  readonly windows: readonly string[];
  /** It begins then, if the plan is the same by then. */
  readonly startAtMs?: number;
  /** No soak, no windows, no freeze; a canary of one, and always a second person. */
  readonly emergency: boolean;
  readonly reason: string;
}

export const reasonCharsMax = 500;
/** An emergency keeps its cap: it stops when more of its clusters fail than these. */
export const emergencyFailuresPercentMax = 10;
/** A plan that was made longer ago is of another fleet. */
export const startAheadMsMax: number = 90 * 86_400_000;

/** The windows that a spec names. It was parsed before it was stored, yet maybe by a server that knows more time zones. */
export function windowsOf(spec: RolloutSpec): Outcome<readonly MaintenanceWindow[]> {
  return parseWindows("windows", spec.people?.windows ?? []);
}

/** Nothing for what says nothing, and every window in the one form in which it is shown. */
export function withPeople(spec: RolloutSpec): RolloutSpec {
  const { people, ...rest } = spec;
  if (people === undefined) return spec;
  const isSaid =
    people.windows.length > 0 || people.startAtMs !== undefined || people.emergency || people.reason !== "";
  if (!isSaid) return rest;
  const windows = parseWindows("windows", people.windows);
  const whole = {
    ...rest,
    people: windows.ok ? { ...people, windows: windows.value.map(({ text }) => text) } : people,
  };
  return people.emergency ? { ...whole, canary: 1, soakSeconds: 0 } : whole;
}

/** What is wrong with it, every bad field at once. */
export function peopleProblems(spec: RolloutSpec): readonly Problem[] {
  const { people } = spec;
  if (people === undefined) return [];
  const problems: Problem[] = [];
  const windows = parseWindows("windows", people.windows);
  if (!windows.ok && windows.refusal.kind === "invalid") problems.push(...windows.refusal.problems);
  if (people.reason.length > reasonCharsMax) {
    problems.push({ field: "reason", why: `is longer than ${reasonCharsMax} characters` });
  }
  return people.emergency ? [...problems, ...emergencyProblems(spec, people)] : problems;
}

function emergencyProblems(spec: RolloutSpec, people: PeopleSpec): readonly Problem[] {
  const problems: Problem[] = [];
  if (people.reason.trim() === "") {
    problems.push({ field: "reason", why: "is missing: an emergency is explained to whoever approves it" });
  }
  if (people.windows.length > 0) {
    problems.push({
      field: "windows",
      why: "an emergency does not wait for windows: leave one of the two away",
    });
  }
  if (people.startAtMs !== undefined) {
    problems.push({ field: "start_at", why: "an emergency does not wait: leave one of the two away" });
  }
  if ((spec.shadowSeconds ?? 0) > 0) {
    const why = "an emergency does not wait for a shadow: leave one of the two away";
    problems.push({ field: "shadow_seconds", why });
  }
  return [...problems, ...capProblems(spec)];
}

/** An emergency gives up its hours, and neither its canary nor its cap. */
function capProblems(spec: RolloutSpec): readonly Problem[] {
  const { steps, stages, failuresPercentMax = 0 } = strategyOf(spec);
  const lists = [
    { field: "steps", first: steps[0] },
    ...stages.map((stage, i) => ({ field: `stages[${i}].steps`, first: stage.steps[0] })),
  ];
  const problems = lists.flatMap(({ field, first }): readonly Problem[] => {
    if (first === undefined || ("count" in first && first.count === 1)) return [];
    const why = `begin with ${shareText(first)}: an emergency begins with one cluster, so begin with 1 or leave them away`;
    return [{ field, why }];
  });
  if (failuresPercentMax <= emergencyFailuresPercentMax) return problems;
  const why = `is ${failuresPercentMax}; of an emergency at most ${emergencyFailuresPercentMax} percent of the clusters may fail`;
  return [...problems, { field: "max_failures_percent", why }];
}

/** Why an emergency with these waves would keep no canary or no cap, in words; undefined for one that does, and for other rollouts. */
export function emergencyTrouble(
  spec: RolloutSpec,
  waves: readonly { readonly clusters: readonly { readonly id: string; readonly name: string }[] }[],
  silent: ReadonlySet<string>,
): string | undefined {
  if (spec.people?.emergency !== true) return undefined;
  const first = waves[0]?.clusters ?? [];
  if (first.length > 1) {
    return `An emergency begins with one cluster that answers, and the ${first.length} that it would begin with are silent: use another offline policy than skip, or wait until one is heard of`;
  }
  // Within its region or stage those that answer come first, so that there is none.
  const canary = first.find(({ id }) => silent.has(id));
  if (canary !== undefined) {
    return `An emergency begins with one cluster that answers, and "${canary.name}", with which it would begin, is silent: begin with another region (--region-order), leave the silent ones out, or wait until it is heard of`;
  }
  const all = waves.reduce((sum, { clusters }) => sum + clusters.length, 0);
  const most = Math.max(1, Math.floor((all * emergencyFailuresPercentMax) / 100));
  const allowed = failuresAllowed(spec, all);
  if (all === 0 || allowed <= most) return undefined;
  return `Of an emergency of ${all} clusters at most ${most} may fail, not ${allowed}: give a smaller --max-failures`;
}
