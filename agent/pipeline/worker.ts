import { parentPort, workerData } from "node:worker_threads";
import { giveBackWhenQuiet } from "../give-back-memory.ts";
import { releaseWhenBusy } from "../optimizers.ts";
import type { PipelineAlert } from "./batch.ts";
import { ProblemFilter } from "./problem-filter.ts";
import type { FromWorker, ToWorker, WorkerOptions } from "./messages.ts";
import { createResponseGate } from "./response-gate.ts";
import { Runner } from "./runner.ts";

const port = parentPort;
if (port === null) throw new Error("worker.ts runs in a worker thread: start it with startPipeline()");

interface Waiting {
  readonly done: () => void;
  readonly failed: (error: Error) => void;
}

const waiting = new Map<number, Waiting>();
let batches = 0;

function post(message: FromWorker): void {
  port?.postMessage(message);
}

function deliverAlerts(alerts: readonly PipelineAlert[], signal: AbortSignal): Promise<void> {
  const batch = ++batches;
  return new Promise((resolve, reject) => {
    const settle = (end: () => void) => () => {
      waiting.delete(batch);
      signal.removeEventListener("abort", aborted);
      end();
    };
    const aborted = () => settle(() => reject(new Error("the pipeline is closing")))();
    waiting.set(batch, { done: settle(resolve), failed: (error) => settle(() => reject(error))() });
    signal.addEventListener("abort", aborted);
    if (signal.aborted) aborted();
    else post({ kind: "alerts", batch, alerts });
  });
}

const problems = new ProblemFilter((problem) => post({ kind: "problem", problem }));
const runner = new Runner(workerData as WorkerOptions, {
  onProblem: (code, message) => problems.report(code, message, performance.now()),
  deliverAlerts,
  onLost: () => inTurn(() => runner.reopen()),
  onRead: releaseWhenBusy(),
  respond: createResponseGate((candidate, missed) => post({ kind: "respond", candidate, missed })),
});

/** Applies and the stop wait for one another; statistics and acknowledgements do not. */
let turn = Promise.resolve();

function inTurn(work: () => Promise<void>): void {
  turn = turn.then(work);
  // A failure here is a bug: the thread dies, and the main thread starts another one.
  turn.catch((error: unknown) => {
    throw error;
  });
}

const running = runner.run();
giveBackWhenQuiet();

port.on("message", (message: ToWorker) => {
  switch (message.kind) {
    case "apply":
      inTurn(async () => {
        post({ kind: "answer", id: message.id, value: await runner.apply(message.request, message.facts) });
      });
      break;
    case "render":
      inTurn(async () => {
        const { request, facts } = message;
        post({ kind: "answer", id: message.id, value: runner.renderer.render(request, facts) });
      });
      break;
    case "elsewhere":
      runner.runsElsewhere(message.digest);
      break;
    case "stats":
      post({ kind: "answer", id: message.id, value: runner.stats() });
      break;
    case "shadow":
      inTurn(async () => {
        post({ kind: "answer", id: message.id, value: runner.beginShadow(message.request) });
      });
      break;
    case "end-shadow":
      inTurn(async () => {
        runner.endShadow();
        post({ kind: "answer", id: message.id, value: true });
      });
      break;
    case "shadow-figures":
      post({ kind: "answer", id: message.id, value: runner.shadowFigures() });
      break;
    case "backtest-source":
      // Not in turn: it waits for the disk, and nobody else has to.
      void runner.backtestSource().then((value) => post({ kind: "answer", id: message.id, value }));
      break;
    case "stop":
      inTurn(async () => {
        await runner.stop();
        await running;
        post({ kind: "answer", id: message.id, value: true });
        port.close();
      });
      break;
    case "ack": {
      const found = waiting.get(message.batch);
      if (message.failure === undefined) found?.done();
      else found?.failed(new Error(message.failure));
      break;
    }
  }
});

// A failure here is a bug, too. Without a top-level await, which a bundle cannot have.
running.catch((error: unknown) => {
  throw error;
});
