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
} from "./pipeline/pipeline.ts";

/** A pipeline that is started again when its worker dies, and then runs what it ran. */
export interface KeptPipeline {
  /** Rejects only when the worker dies while it applies. */
  apply(request: ApplyRequest, facts: PipelineFacts): Promise<ApplyResult>;
  /** Undefined while there is no worker. */
  stats(): Promise<PipelineStats | undefined>;
  restarts(): number;
  stop(): Promise<void>;
}

export interface KeepOptions extends PipelineOptions {
  readonly log: Logger;
  /** Told when the worker died and when it is back, with the reason in words. */
  readonly onCrash: (because: string, restarts: number) => void;
}

/** A worker that ran this long has recovered. */
const recoveredMs = 60_000;

export function keepPipeline(options: KeepOptions): KeptPipeline {
  const { log, onCrash, ...pipelineOptions } = options;
  let pipeline: Pipeline = startPipeline(pipelineOptions);
  let applied: { readonly request: ApplyRequest; readonly facts: PipelineFacts } | undefined;
  let startedAt = Date.now();
  let failures = 0;
  let restarts = 0;
  let isStopping = false;
  let timer: NodeJS.Timeout | undefined;

  const watch = (worker: Pipeline): void => {
    void worker.exited.then(({ code, error }) => {
      if (isStopping) return;
      failures = Date.now() - startedAt > recoveredMs ? 0 : failures + 1;
      restarts += 1;
      const because = error?.message ?? `it ended with code ${code}`;
      const delayMs = failures === 0 ? 0 : retryDelayMs(failures, Math.random());
      log.error({ err: error, restarts, delayMs }, "the pipeline's worker died, starting another");
      onCrash(because, restarts);
      timer = setTimeout(restart, delayMs);
    });
  };
  function restart(): void {
    pipeline = startPipeline(pipelineOptions);
    startedAt = Date.now();
    watch(pipeline);
    if (applied === undefined) return;
    pipeline.apply(applied.request, applied.facts).then(
      (result) => {
        if (!result.ok) {
          log.error(
            { reason: result.reason, detail: result.detail },
            "what ran before the crash does not load",
          );
        }
      },
      // The worker died again; its end is handled where it is watched.
      () => undefined,
    );
  }
  watch(pipeline);
  return {
    async apply(request, facts) {
      const result = await pipeline.apply(request, facts).catch((error: unknown) => {
        throw new AgentError(
          "pipeline/crashed",
          `The pipeline died while it loaded the bundle: ${(error as Error).message}`,
        );
      });
      if (result.ok) applied = { request, facts };
      return result;
    },
    stats: () => pipeline.stats().catch(() => undefined),
    restarts: () => restarts,
    async stop() {
      isStopping = true;
      clearTimeout(timer);
      await pipeline.stop();
    },
  };
}
