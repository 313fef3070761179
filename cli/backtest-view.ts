import { type Backtest, BacktestState, type GetBacktestResponse } from "#proto/fleet/v1/backtest";
import type { TableOptions } from "./output/table.ts";
import { countOf } from "./output/text.ts";
import { findingLines, timeText } from "./shadow-view.ts";
import { nameOf } from "./views.ts";

const words: Readonly<Record<BacktestState, string>> = {
  [BacktestState.UNSPECIFIED]: "in a state that this fleetctl does not know",
  [BacktestState.RUNNING]: "running",
  [BacktestState.DONE]: "done",
  [BacktestState.CANCELED]: "cancelled",
  [BacktestState.LATE]: "late",
};

/** One line about how a backtest stands. */
export function backtestLine(backtest: Backtest): string {
  const { id, state, agents, ended, bytesDone, bytesTotal, events } = backtest;
  const share = bytesTotal === 0n ? "" : `, ${(bytesDone * 100n) / bytesTotal} %`;
  const found = `${backtest.new} alerts new, ${backtest.gone} gone (${backtest.now} now, ${backtest.candidate} then)`;
  return `${id} ${words[state]}: ${ended} of ${countOf(agents, "agent")} ended${share}, ${countOf(Number(events), "event")}: ${found}${caveats(backtest)}`;
}

/** What keeps the figures from being the whole truth. */
function caveats({ agents, answered, refused, missing, undecided, failures }: Backtest): string {
  const parts = [
    agents > answered ? `${agents - answered} without an answer` : "",
    refused > 0 ? `${refused} could not or not to the end` : "",
    missing > 0n ? `${missing} events could not be read` : "",
    undecided > 0n ? `${undecided} times a rule was not decided` : "",
    failures > 0n ? `${failures} events failed` : "",
  ].filter((part) => part !== "");
  return parts.length === 0 ? "" : `; ${parts.join(", ")}`;
}

/** How a backtest stands, with what it gave. */
export function backtestLines(
  { backtest, rules, problems }: GetBacktestResponse,
  options: TableOptions,
): readonly string[] {
  if (backtest === undefined) return [];
  const what = `${nameOf(backtest.bundle)} over ${countOf(backtest.clusters, "cluster")}`;
  const span = `events from ${timeText(backtest.since)} to ${timeText(backtest.until)}`;
  return [`${what}, ${span}`, backtestLine(backtest), "", ...findingLines(rules, problems, options)];
}
