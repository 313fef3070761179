import type { ComponentName } from "./component.ts";
import { accept, refuse, type Outcome, type Problem } from "./refusal.ts";

export type BacktestState = "running" | "done" | "canceled" | "late";

/** What somebody asks for, in bounds. */
export interface BacktestSpec {
  /** Never the shipper. */
  readonly component: ComponentName;
  readonly bundle: string;
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly deadlineSeconds: number;
}

export interface RawBacktest {
  readonly component: ComponentName;
  readonly bundle: string;
  readonly sinceMs: number | undefined;
  /** Now if not given. */
  readonly untilMs: number | undefined;
  /** 0 for the default. */
  readonly deadlineSeconds: number;
}

const deadlineDefault = 1_800;
const reachDaysMax = 31;
const dayMs = 86_400_000;

/** Reads what is asked for, or names everything that is wrong with it. */
export function parseBacktest(raw: RawBacktest, nowMs: number): Outcome<BacktestSpec> {
  const problems: Problem[] = [];
  const { bundle, sinceMs } = raw;
  const untilMs = raw.untilMs ?? nowMs;
  const deadlineSeconds = raw.deadlineSeconds === 0 ? deadlineDefault : raw.deadlineSeconds;
  if (raw.component === "shipper") problems.push({ field: "kind", why: "has to be rules or layer" });
  if (bundle === "" || bundle.length > 300) {
    problems.push({ field: "bundle", why: "has to be a rules bundle: NAME@VERSION, NAME or a digest" });
  }
  if (untilMs > nowMs) problems.push({ field: "until", why: "is not over yet" });
  if (sinceMs === undefined) problems.push({ field: "since", why: "is missing" });
  else if (sinceMs + 1000 > untilMs) {
    problems.push({ field: "since", why: "has to be at least a second before until" });
  } else if (nowMs - sinceMs > reachDaysMax * dayMs) {
    problems.push({ field: "since", why: `reaches back more than ${reachDaysMax} days` });
  }
  if (deadlineSeconds < 10 || deadlineSeconds > 43_200) {
    problems.push({ field: "deadline_seconds", why: "has to be from 10 to 43200" });
  }
  if (problems.length > 0 || sinceMs === undefined) return refuse({ kind: "invalid", problems });
  return accept({ component: raw.component, bundle, sinceMs, untilMs, deadlineSeconds });
}

/** What is stored of a backtest that tells its state. */
export interface BacktestEnds {
  readonly deadlineMs: number;
  readonly isCanceled: boolean;
  readonly isFinished: boolean;
}

/** Nothing moves a backtest but its agents and people: whether it is late is a matter of when somebody looks. */
export function backtestState(
  { deadlineMs, isCanceled, isFinished }: BacktestEnds,
  nowMs: number,
): BacktestState {
  if (isFinished) return "done";
  if (isCanceled) return "canceled";
  return nowMs >= deadlineMs ? "late" : "running";
}
