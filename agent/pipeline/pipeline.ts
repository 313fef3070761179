import type { ResponseCandidate } from "../respond/responder.ts";
import type { Worker } from "node:worker_threads";
import type { PipelineAlert } from "./batch.ts";
import type { PipelineFacts } from "./load-bundle.ts";
import type { RenderRequest, RenderResult } from "./render-bundle.ts";
import type { ShadowFigures } from "./shadow-counts.ts";
import type {
  ApplyRequest,
  ApplyResult,
  BacktestSourceResult,
  FromWorker,
  PipelineProblem,
  PipelineStats,
  ShadowRequest,
  ShadowResult,
  ToWorker,
  WorkerOptions,
} from "./messages.ts";
import { startThread } from "./thread.ts";

export type { PipelineAlert } from "./batch.ts";
export type { FilterStats } from "./filter.ts";
export type { ApplyFailure, BundleSource, EngineNeeds, PipelineFacts } from "./load-bundle.ts";
export type { ApplyRequest, ApplyResult, PipelineProblem, PipelineStats, Running } from "./messages.ts";
export type { LeftOutPart, RulesParts } from "./load-composition.ts";
export type { BacktestSource, BacktestSourceResult, ShadowRequest, ShadowResult } from "./messages.ts";
export type { ShadowFigures } from "./shadow-counts.ts";
export type { InputStats } from "./input.ts";
export type { RenderRequest, RenderResult } from "./render-bundle.ts";
export type { OutputReport } from "./output.ts";
export { describeUnfed } from "./describe-unfed.ts";

export interface PipelineOptions extends WorkerOptions {
  /**
   * Called with at most 500 alerts and at most about 640 KiB, one batch at a time. They stay on disk until `ack` is
   * called without a failure; with one, they come again after a while. They come again after a crash, too, with the
   * same ids.
   */
  readonly onAlerts: (batch: readonly PipelineAlert[], ack: (failure?: Error) => void) => void;
  readonly onProblem: (problem: PipelineProblem) => void;
  /** Called with alerts that responses of the running rules are about, as they are raised. `missed` were left out. */
  readonly onRespond?: (candidate: ResponseCandidate, missed: number) => void;
}

/** How the worker ended: by `stop`, or by an error that is a bug. Start another one in the latter case. */
export interface PipelineExit {
  readonly code: number;
  readonly error?: Error;
}

export interface Pipeline {
  /**
   * Loads and swaps bundles, all or nothing; a failure leaves what runs untouched. `running` holds the digests that the
   * worker computed over the bytes it loaded. Rejects only when the worker is gone.
   */
  apply(request: ApplyRequest, facts: PipelineFacts): Promise<ApplyResult>;
  /** Checks a bundle that another program is to run, and gives its files. Rejects when the worker is gone. */
  render(request: RenderRequest, facts: PipelineFacts): Promise<RenderResult>;
  /** Says which rules bundle another program was proved to run. */
  runsElsewhere(digest: string): void;
  /** Evaluates a candidate beside what runs, instead of the one before. Rejects when the worker is gone. */
  beginShadow(request: ShadowRequest): Promise<ShadowResult>;
  endShadow(): Promise<true>;
  /** Undefined when there was no candidate since the worker began. */
  shadowFigures(): Promise<ShadowFigures | undefined>;
  /** Rejects when the worker is gone. */
  backtestSource(): Promise<BacktestSourceResult>;
  /** Rejects when the worker is gone. */
  stats(): Promise<PipelineStats>;
  /** Delivers what it can within the grace time, saves positions and ends. The rest stays on disk. */
  stop(): Promise<void>;
  /** Ends a worker that no longer answers, as a crash would. */
  kill(): void;
  /** Resolves when the worker has ended, for whatever reason. */
  readonly exited: Promise<PipelineExit>;
}

interface Pending {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

/** Left alone it grows to 134 MB, nearly all of it empty: hardly anything lives longer than the batch it was made for. */
const maxYoungGenerationSizeMb = 48;

/**
 * Starts the pipeline in a thread of its own: tail, filters, router, outputs. It does nothing until bundles are applied.
 * Only one pipeline may use a state folder at a time.
 */
export function startPipeline(options: PipelineOptions): Pipeline {
  const { onAlerts, onProblem, onRespond, ...workerData } = options;
  const worker = startWorker(workerData);
  const pending = new Map<number, Pending>();
  let ids = 0;
  let failure: Error | undefined;
  let isGone = false;

  const send = (message: ToWorker): void => worker.postMessage(message, []);
  const ask = <T>(message: (id: number) => ToWorker): Promise<T> =>
    new Promise((resolve, reject) => {
      if (isGone) return reject(goneError(failure));
      const id = ++ids;
      pending.set(id, { resolve, reject });
      return send(message(id));
    });

  worker.on("message", (message: FromWorker) => {
    switch (message.kind) {
      case "answer":
        pending.get(message.id)?.resolve(message.value as never);
        pending.delete(message.id);
        break;
      case "alerts":
        onAlerts(message.alerts, (error) => send(ackOf(message.batch, error)));
        break;
      case "respond":
        onRespond?.(message.candidate, message.missed);
        break;
      case "problem":
        onProblem(message.problem);
        break;
    }
  });
  worker.on("error", (error: unknown) => {
    failure = error instanceof Error ? error : new Error(String(error));
  });
  const exited = new Promise<PipelineExit>((resolve) => {
    worker.on("exit", (code) => {
      isGone = true;
      for (const { reject } of pending.values()) reject(goneError(failure));
      pending.clear();
      resolve({ code, ...(failure === undefined ? {} : { error: failure }) });
    });
  });

  return {
    apply: (request, facts) => ask<ApplyResult>((id) => ({ kind: "apply", id, request, facts })),
    ...elsewhereBy(ask, send),
    ...shadowsBy(ask),
    backtestSource: () => ask<BacktestSourceResult>((id) => ({ kind: "backtest-source", id })),
    stats: () => ask<PipelineStats>((id) => ({ kind: "stats", id })),
    stop: async () => {
      if (!isGone) await ask<true>((id) => ({ kind: "stop", id })).catch(() => {});
      await exited;
    },
    kill: () => void worker.terminate(),
    exited,
  };
}

function ackOf(batch: number, error: Error | undefined): ToWorker {
  return { kind: "ack", batch, ...(error === undefined ? {} : { failure: error.message }) };
}

type Ask = <T>(message: (id: number) => ToWorker) => Promise<T>;

function elsewhereBy(
  ask: Ask,
  send: (message: ToWorker) => void,
): Pick<Pipeline, "render" | "runsElsewhere"> {
  return {
    render: (request, facts) => ask<RenderResult>((id) => ({ kind: "render", id, request, facts })),
    runsElsewhere: (digest) => send({ kind: "elsewhere", digest }),
  };
}

function shadowsBy(ask: Ask): Pick<Pipeline, "beginShadow" | "endShadow" | "shadowFigures"> {
  return {
    beginShadow: (request) => ask<ShadowResult>((id) => ({ kind: "shadow", id, request })),
    endShadow: () => ask<true>((id) => ({ kind: "end-shadow", id })),
    shadowFigures: () => ask<ShadowFigures | undefined>((id) => ({ kind: "shadow-figures", id })),
  };
}

function startWorker(workerData: WorkerOptions): Worker {
  return startThread("worker", { workerData, resourceLimits: { maxYoungGenerationSizeMb } });
}

function goneError(cause: Error | undefined): Error {
  const why = cause === undefined ? "it was stopped" : cause.message;
  return new Error(`The pipeline's worker is gone: ${why}`, { cause });
}
