import type { Client } from "@connectrpc/connect";
import { type Backtest, type BacktestService, BacktestState } from "#proto/fleet/v1/backtest";
import { present } from "./answer.ts";
import { backtestLine } from "./backtest-view.ts";
import { interrupted } from "./failure.ts";
import { followToRest } from "./follow.ts";
import { liveFrame, type Screen } from "./screen.ts";

/**
 * Follows a backtest to its end and gives its last picture. Progress is one line that is redrawn where the answer is for a
 * person on a terminal, and a line of talk when it changes elsewhere. An interrupt cancels the backtest.
 */
export async function watchBacktest(
  service: Client<typeof BacktestService>,
  backtestId: string,
  screen: Screen,
  isForPerson: boolean,
): Promise<Backtest> {
  const frame = isForPerson && screen.outIsTerminal ? liveFrame(screen) : undefined;
  let before = "";
  const show = (backtest: Backtest): void => {
    const line = backtestLine(backtest);
    if (line === before) return;
    before = line;
    if (frame === undefined) screen.talk(`${line}\n`);
    else frame([line]);
  };
  return screen.interruptible(async (signal) => {
    try {
      const watch = () => service.watchBacktest({ backtestId }, { signal, timeoutMs: 0 });
      return await followToRest(watch, "the backtest", screen, signal, (message) => {
        const backtest = present(message.backtest, "backtest");
        const isRunning = backtest.state === BacktestState.RUNNING;
        if (isRunning) show(backtest);
        return isRunning ? undefined : backtest;
      });
    } catch (error) {
      if (!signal.aborted) throw error;
      await service.cancelBacktest({ backtestId });
      screen.talk(
        `Backtest ${backtestId} is cancelled. For what it gave so far: fleetctl rules backtest --show ${backtestId}\n`,
      );
      throw interrupted();
    } finally {
      frame?.([]);
    }
  });
}
