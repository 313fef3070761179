import { readFileSync, rmSync } from "node:fs";
import writeFileAtomic from "write-file-atomic";

/**
 * How often a backtest was begun here and did not come to an end. A candidate that takes the whole agent with it must not do
 * so again with each start, because the server offers it again.
 */
export interface BacktestStarts {
  /** Notes another start, and gives how many there are with it. */
  begin(backtestId: string): number;
  /** It came to an end, whichever. */
  end(): void;
}

export function openBacktestStarts(path: string): BacktestStarts {
  return {
    begin(backtestId) {
      const starts = startsOf(path, backtestId) + 1;
      writeFileAtomic.sync(path, JSON.stringify({ backtestId, starts }), { mode: 0o600 });
      return starts;
    },
    end: () => rmSync(path, { force: true }),
  };
}

function startsOf(path: string, backtestId: string): number {
  try {
    const noted = JSON.parse(readFileSync(path, "utf8")) as { backtestId?: unknown; starts?: unknown };
    return noted.backtestId === backtestId && typeof noted.starts === "number" ? noted.starts : 0;
  } catch (error) {
    // What a kill left half written tells nothing, and is written anew.
    if ((error as NodeJS.ErrnoException).code === "ENOENT" || error instanceof SyntaxError) return 0;
    throw error;
  }
}
