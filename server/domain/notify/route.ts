import { parseMatchers, subjectOf } from "../alert-matcher.ts";
import { accept, refuse, type Outcome, type Problem } from "../refusal.ts";
import { nameProblems } from "./receiver.ts";

/** How long news is gathered, and how often it is told. Milliseconds. */
export interface Timing {
  /** From the first news until it is told, so that what belongs together comes together. */
  readonly waitMs: number;
  /** Between messages of one group, when there is news. */
  readonly intervalMs: number;
  /** Until what was told and goes on is told again. */
  readonly repeatMs: number;
}

/** Which alerts and states of the fleet go to a receiver, and how. */
export interface Route extends Timing {
  readonly name: string;
  readonly receiver: string;
  /** As `parseMatchers` reads it. Empty means everything. */
  readonly matchers: string;
  /** Names as in matchers; one group for each combination of their values. */
  readonly groupBy: readonly string[];
  /** Whether what it takes is shown to the routes after it as well. */
  readonly goesOn: boolean;
}

const minuteMs = 60_000;
const dayMs = 1_440 * minuteMs;
const groupByMax = 8;

/** As in Alertmanager. */
export const usualTiming: Timing = { waitMs: 30_000, intervalMs: 5 * minuteMs, repeatMs: 240 * minuteMs };
export const usualGroupBy: readonly string[] = ["rule", "cluster"];

/** Fills in the defaults (0 for a time, nothing to group by) and refuses what cannot be used, every bad field at once. */
export function parseRoute(raw: Route): Outcome<Route> {
  const problems: Problem[] = [...nameProblems("name", raw.name), ...nameProblems("receiver", raw.receiver)];
  const matchers = parseMatchers("matchers", raw.matchers);
  if (!matchers.ok && matchers.refusal.kind === "invalid") problems.push(...matchers.refusal.problems);
  const groupBy = raw.groupBy.length === 0 ? usualGroupBy : raw.groupBy;
  if (groupBy.length > groupByMax) {
    problems.push({ field: "group_by", why: `holds more than ${groupByMax} names` });
  }
  for (const name of groupBy) {
    const kind = subjectOf(name).kind;
    if (!/^[A-Za-z_][\w./[\]-]{0,200}$/.test(name)) {
      problems.push({
        field: "group_by",
        why: `"${name.slice(0, 80)}" is no name such as rule, region or ka.user.name`,
      });
    } else if (kind === "output") {
      problems.push({
        field: "group_by",
        why: "output differs from alert to alert: nothing would be grouped",
      });
    }
  }
  const time = (field: string, given: number, usual: number, minMs: number, maxMs: number): number => {
    const ms = given === 0 ? usual : given;
    if (ms < minMs || ms > maxMs) {
      problems.push({ field, why: `is not between ${minMs / 1000} s and ${maxMs / 1000} s` });
    }
    return ms;
  };
  const waitMs = time("wait", raw.waitMs, usualTiming.waitMs, 1_000, 60 * minuteMs);
  const intervalMs = time("interval", raw.intervalMs, usualTiming.intervalMs, 1_000, dayMs);
  const repeatMs = time("repeat", raw.repeatMs, usualTiming.repeatMs, minuteMs, 7 * dayMs);
  if (problems.length > 0) return refuse({ kind: "invalid", problems });
  return accept({ ...raw, groupBy, waitMs, intervalMs, repeatMs });
}
