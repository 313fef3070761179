import type { Logger } from "pino";
import { AgentError } from "./agent-error.ts";
import { retryDelayMs } from "./domain/backoff.ts";
import { startPipeline } from "./pipeline/pipeline.ts";
import type {
  ApplyRequest,
  ApplyResult,
  Pipeline,
  PipelineFacts,
  PipelineOptions,
  PipelineStats,
  ShadowFigures,
  ShadowRequest,
  ShadowResult,
} from "./pipeline/pipeline.ts";

/** A pipeline that is started again when its worker dies. What it is to run then is for whoever hears of the death. */
export interface KeptPipeline {
  /** Rejects with `pipeline/crashed` when the worker dies while it applies, with `pipeline/away` while there is none. */
  apply(request: ApplyRequest, facts: PipelineFacts): Promise<ApplyResult>;
  /** As of the pipeline; undefined while there is no worker, or when it dies over it. */
  beginShadow(request: ShadowRequest): Promise<ShadowResult | undefined>;
  endShadow(): Promise<unknown>;
  shadowFigures(): Promise<ShadowFigures | undefined>;
  /** Undefined while there is no worker. */
  stats(): Promise<PipelineStats | undefined>;
  restarts(): number;
  stop(): Promise<void>;
}

export interface KeepOptions extends PipelineOptions {
  readonly log: Logger;
  /** Told when the worker died, with the reason in words: nothing runs any more. */
  readonly onCrash: (because: string, restarts: number) => void;
  /** Told when another worker is there, which runs nothing yet. */
  readonly onRestart: () => void;
  /** Told when a worker that was started again has run for a while. */
  readonly onRecovered: () => void;
}

/** A worker that ran this long has recovered. */
const recoveredMs = 60_000;

export function keepPipeline(options: KeepOptions): KeptPipeline {
  const { log, onCrash, onRestart, onRecovered, ...pipelineOptions } = options;
  let pipeline: Pipeline | undefined = startPipeline(pipelineOptions);
  let failures = 0;
  let restarts = 0;
  let isStopping = false;
  let timer: NodeJS.Timeout | undefined;

  const watch = (worker: Pipeline): void => {
    void worker.exited.then(({ code, error }) => {
      if (isStopping) return;
      pipeline = undefined;
      failures += 1;
      restarts += 1;
      const because = error?.message ?? `it ended with code ${code}`;
      const delayMs = failures === 1 ? 0 : retryDelayMs(failures, Math.random());
      log.error({ err: error, restarts, delayMs }, "the pipeline's worker died, starting another");
      clearTimeout(timer);
      timer = setTimeout(restart, delayMs);
      onCrash(because, restarts);
    });
  };
  function restart(): void {
    pipeline = startPipeline(pipelineOptions);
    watch(pipeline);
    timer = setTimeout(recover, recoveredMs);
    onRestart();
  }
  function recover(): void {
    failures = 0;
    onRecovered();
  }
  watch(pipeline);
  return {
    async apply(request, facts) {
      if (pipeline === undefined) {
        throw new AgentError("pipeline/away", "The pipeline is being started again");
      }
      try {
        return await pipeline.apply(request, facts);
      } catch (error) {
        const why = (error as Error).message;
        throw new AgentError("pipeline/crashed", `The pipeline died while it loaded the bundle: ${why}`);
      }
    },
    beginShadow: async (request) => pipeline?.beginShadow(request).catch(() => undefined),
    endShadow: async () => pipeline?.endShadow().catch(() => undefined),
    shadowFigures: async () => pipeline?.shadowFigures().catch(() => undefined),
    stats: async () => pipeline?.stats().catch(() => undefined),
    restarts: () => restarts,
    async stop() {
      isStopping = true;
      clearTimeout(timer);
      await pipeline?.stop();
    },
  };
}
