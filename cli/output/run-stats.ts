import { renderCount } from "./quantity.ts";
import { clean, countOf } from "./text.ts";

/** The counts of a run over events. */
export interface RunCounts {
  readonly events: number;
  readonly alerts: number;
  readonly problems: number;
  readonly seconds: number;
  readonly byPriority: readonly (readonly [string, number])[];
  readonly byRule: readonly (readonly [string, number])[];
}

/** What a run came to, for people: totals, then alerts by rule. */
export function renderRunStats(stats: RunCounts): string[] {
  const rate = stats.seconds > 0 ? `, ${renderCount(stats.events / stats.seconds)} a second` : "";
  const totals = `${countOf(stats.events, "event")} in ${stats.seconds.toFixed(2)}s${rate}; ${countOf(stats.alerts, "alert")}`;
  const dropped = stats.problems === 0 ? "" : `; ${countOf(stats.problems, "problem")}`;
  const priorities = stats.byPriority.map(([priority, count]) => `${count} ${priority}`).join(", ");
  const width = Math.max(0, ...stats.byRule.map(([, count]) => String(count).length));
  return [
    `${totals}${priorities === "" ? "" : ` (${priorities})`}${dropped}`,
    ...stats.byRule.map(([rule, count]) => `  ${String(count).padStart(width)}  ${clean(rule)}`),
  ];
}
