import type { Outcome, Problem } from "../refusal.ts";
import type { RolloutSpec } from "../rollout-spec.ts";
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
export function peopleProblems({ people, shadowSeconds = 0 }: RolloutSpec): readonly Problem[] {
  if (people === undefined) return [];
  const problems: Problem[] = [];
  const windows = parseWindows("windows", people.windows);
  if (!windows.ok && windows.refusal.kind === "invalid") problems.push(...windows.refusal.problems);
  if (people.reason.length > reasonCharsMax) {
    problems.push({ field: "reason", why: `is longer than ${reasonCharsMax} characters` });
  }
  if (!people.emergency) return problems;
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
  if (shadowSeconds > 0) {
    const why = "an emergency does not wait for a shadow: leave one of the two away";
    problems.push({ field: "shadow_seconds", why });
  }
  return problems;
}
