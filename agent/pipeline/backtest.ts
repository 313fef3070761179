import type { BacktestFigures, BacktestRequest } from "./backtest-replay.ts";
import type { ApplyFailure } from "./load-bundle.ts";
import { startThread } from "./thread.ts";

export type { BacktestFigures, BacktestRequest } from "./backtest-replay.ts";

export type FromBacktest =
  | { readonly kind: "figures"; readonly figures: BacktestFigures }
  | { readonly kind: "refused"; readonly failure: ApplyFailure };

/** A candidate that takes more ends its own thread, and nothing else. */
const maxOldGenerationSizeMb = 384;

/**
 * Replays events in a thread of its own, at the lowest priority. Undefined when it came to its end; what it gave last is what
 * `onFigures` was told last. Rejects when the thread dies, and when the signal ends it.
 */
export function runBacktest(
  request: BacktestRequest,
  onFigures: (figures: BacktestFigures) => void,
  signal: AbortSignal,
): Promise<ApplyFailure | undefined> {
  signal.throwIfAborted();
  const worker = startThread("backtest-worker", {
    workerData: request,
    resourceLimits: { maxOldGenerationSizeMb },
  });
  return new Promise((resolve, reject) => {
    let refused: ApplyFailure | undefined;
    const abort = () => void worker.terminate();
    signal.addEventListener("abort", abort);
    worker.on("message", (message: FromBacktest) => {
      if (message.kind === "refused") refused = message.failure;
      else if (!signal.aborted) onFigures(message.figures);
    });
    worker.on("error", reject);
    worker.on("exit", (code) => {
      signal.removeEventListener("abort", abort);
      if (signal.aborted) reject(signal.reason as Error);
      else if (code === 0) resolve(refused);
      else reject(new Error(`The thread of the backtest ended with code ${code}`));
    });
  });
}
