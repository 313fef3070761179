import { setPriority } from "node:os";
import { parentPort, workerData } from "node:worker_threads";
import { releaseOptimizers } from "../optimizers.ts";
import { replay } from "./backtest-replay.ts";
import type { BacktestRequest } from "./backtest-replay.ts";
import type { FromBacktest } from "./backtest.ts";

const port = parentPort;
if (port === null) throw new Error("backtest-worker.ts runs in a worker thread: start it with runBacktest()");

// As many records as the ring holds, one after the other.
releaseOptimizers();

/** Linux takes 0 for the thread that asks: the others, which read and detect, keep their priority. */
setPriority(0, 19);

const progressMs = 500;

function post(message: FromBacktest): void {
  port?.postMessage(message);
}

const begun = replay(workerData as BacktestRequest);
if ("steps" in begun) {
  let saidMs = 0;
  for (const figures of begun.steps) {
    const nowMs = performance.now();
    if (figures.state === "replaying" && saidMs > 0 && nowMs - saidMs < progressMs) continue;
    saidMs = nowMs;
    post({ kind: "figures", figures });
  }
} else post({ kind: "refused", failure: begun });
