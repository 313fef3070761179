import { redactable, redactableIn, type Redactable } from "#report/redactable";

import { nextOpening, parseWindow, type MaintenanceWindow } from "../people/window.ts";
import { accept, invalid, refuse, type Outcome, type Problem } from "../refusal.ts";
import type { Selector } from "../selector.ts";
import { nameProblems } from "./receiver.ts";

export const reportNames = ["exec", "secrets", "privileges", "rollouts", "coverage"] as const;
export type ReportName = (typeof reportNames)[number];
export const reportFormats = ["html", "markdown", "csv", "json"] as const;
export type ReportFormat = (typeof reportFormats)[number];

/** A report that the server makes and sends by itself. */
export interface ReportSchedule {
  readonly name: string;
  readonly report: ReportName;
  readonly receiver: string;
  readonly format: ReportFormat;
  /** As "Mon 08:00 Europe/Berlin". */
  readonly schedule: string;
  readonly selector: Selector;
  /** Whose alerts it tells of, instead of those that it is about; empty for these. */
  readonly rules: readonly string[];
  readonly redact: readonly Redactable[];
}

export interface ScheduleWish {
  readonly name: string;
  readonly report: string;
  readonly receiver: string;
  /** Empty means HTML. */
  readonly format: string;
  readonly schedule: string;
  readonly selector: Selector;
  readonly rules: readonly string[];
  readonly redact: readonly string[];
}

/** Refuses what cannot be used, every bad field at once. */
export function parseReportSchedule(raw: ScheduleWish): Outcome<ReportSchedule> {
  const problems: Problem[] = [...nameProblems("name", raw.name), ...nameProblems("receiver", raw.receiver)];
  const one = <T extends string>(field: string, known: readonly T[], given: string): T | undefined => {
    const found = known.find((each) => each === given);
    if (found === undefined) {
      problems.push({ field, why: `"${given.slice(0, 40)}" is none of ${known.join(", ")}` });
    }
    return found;
  };
  const report = one("report", reportNames, raw.report);
  const format = one("format", reportFormats, raw.format === "" ? "html" : raw.format);
  const redact = raw.redact.map((word) => one("redact", redactable, word));
  const inIt = report === undefined ? redactable : redactableIn[report];
  const missing = redact.find((word) => word !== undefined && !inIt.includes(word));
  if (missing !== undefined) {
    const why = `a report of ${report} has no ${missing}: only ${inIt.join(", ")} can be replaced there`;
    problems.push({ field: "redact", why });
  }
  if (report === "rollouts" && raw.selector.length > 0) {
    problems.push({ field: "selector", why: "cannot narrow a report of rollouts" });
  }
  problems.push(...ruleProblems(raw.rules, report));
  const when = parseSchedule("schedule", raw.schedule);
  if (!when.ok && when.refusal.kind === "invalid") problems.push(...when.refusal.problems);
  if (problems.length > 0 || report === undefined || format === undefined || !when.ok) {
    return refuse({ kind: "invalid", problems });
  }
  const words = [...new Set(redact.filter((word) => word !== undefined))];
  return accept({
    ...raw,
    rules: [...new Set(raw.rules)],
    report,
    format,
    schedule: when.value.text,
    redact: words,
  });
}

/** As many as a list of alerts takes, and as long as names of rules may be. */
const rulesMax = 100;
const ruleCharsMax = 300;

function ruleProblems(rules: readonly string[], report: ReportName | undefined): readonly Problem[] {
  const field = "rules";
  if (rules.length > 0 && (report === "rollouts" || report === "coverage")) {
    return [{ field, why: `cannot narrow a report of ${report}` }];
  }
  if (rules.length > rulesMax) {
    return [{ field, why: `names ${rules.length} rules; at most ${rulesMax} are allowed` }];
  }
  const odd = rules.find((rule) => rule === "" || rule.length > ruleCharsMax || rule.includes("\0"));
  return odd === undefined ? [] : [{ field, why: `"${odd.slice(0, 40)}" is no name of a rule` }];
}

/** When a report is made. */
export interface When {
  readonly text: string;
  /** Its first minute is that of the report. */
  readonly window: MaintenanceWindow;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const minutesOfDay = 1_440;
const weekMs = 7 * minutesOfDay * minuteMs;

/** Reads `DAYS HH:MM ZONE`, as "Mon 08:00 Europe/Berlin". */
export function parseSchedule(field: string, text: string): Outcome<When> {
  const shape = "write DAYS HH:MM ZONE, for example Mon 08:00 Europe/Berlin";
  const match = /^(\S{1,40})\s+(\d{2}):(\d{2})\s+(\S{1,64})$/.exec(text.trim());
  if (match === null) return invalid(field, `"${text.slice(0, 120)}" is no schedule: ${shape}`);
  const [, days = "", hour = "", minute = "", zone = ""] = match;
  const end = Number(hour) * 60 + Number(minute) + 1;
  const two = (n: number) => String(n).padStart(2, "0");
  const to = end >= minutesOfDay ? "24:00" : `${two(Math.floor(end / 60))}:${two(end % 60)}`;
  const window = parseWindow(field, `${days} ${hour}:${minute}-${to} ${zone}`);
  if (!window.ok) return window;
  const shown = window.value.text.replace(/-\d{2}:\d{2} /, " ");
  return accept({ text: shown, window: window.value });
}

/** The first moment of a schedule after another one. Of an hour that the wall shows twice, the first. */
export function nextReportMs({ window }: When, afterMs: number): number {
  const openingMs = (fromMs: number) => nextOpening([window], fromMs) ?? fromMs + weekMs;
  // From the next minute on: the one that has begun is done.
  const from = Math.floor(afterMs / minuteMs) * minuteMs + minuteMs;
  const nextMs = openingMs(from);
  return openingMs(nextMs - 2 * hourMs) < nextMs ? openingMs(nextMs + minuteMs) : nextMs;
}

/**
 * From when on a report tells: of seven days, or since the one before when that is longer ago, so that nothing falls between two; of
 * five weeks at most. The first one tells of the seven days before its schedule was made, too, as one would have that was given up.
 */
export function reportedFromMs(
  untilMs: number,
  { lastMs, createdMs }: { readonly lastMs?: number; readonly createdMs: number },
): number {
  return Math.max(untilMs - 5 * weekMs, Math.min(untilMs - weekMs, lastMs ?? createdMs - weekMs));
}
