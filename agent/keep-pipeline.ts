import { setTimeout as pause } from "node:timers/promises";
import type { Logger } from "pino";
import { AgentError } from "./agent-error.ts";
import { retryDelayMs } from "./domain/backoff.ts";
import { startPipeline } from "./pipeline/pipeline.ts";
import type {
  ApplyRequest,
  ApplyResult,
  BacktestSourceResult,
  Pipeline,
  PipelineFacts,
  PipelineOptions,
  PipelineStats,
  RenderRequest,
  RenderResult,
  ShadowFigures,
  ShadowRequest,
  ShadowResult,
} from "./pipeline/pipeline.ts";

/** A pipeline that is started again when its worker dies. What it is to run then is for whoever hears of the death. */
export interface KeptPipeline {
  /** Rejects with `pipeline/crashed` when the worker dies while it applies, with `pipeline/away` while there is none. */
  apply(request: ApplyRequest, facts: PipelineFacts): Promise<ApplyResult>;
  /** As `apply`, of a bundle that another program is to run. */
  render(request: RenderRequest, facts: PipelineFacts): Promise<RenderResult>;
  runsElsewhere(digest: string): void;
  /** As of the pipeline; undefined while there is no worker, or when it dies over it. */
  beginShadow(request: ShadowRequest): Promise<ShadowResult | undefined>;
  endShadow(): Promise<unknown>;
  shadowFigures(): Promise<ShadowFigures | undefined>;
  /** Undefined while there is no worker, or when it dies over it. */
  backtestSource(): Promise<BacktestSourceResult | undefined>;
  /** Undefined while there is no worker, and when it does not answer within seconds. */
  stats(): Promise<PipelineStats | undefined>;
  /** Ends a worker that no longer answers; it counts as a crash. */
  kill(because: string): void;
  /** What it died of is gone: no more waiting before the next start. */
  forgive(): void;
  restarts(): number;
  stop(): Promise<void>;
}

export interface KeepOptions extends PipelineOptions {
  readonly log: Logger;
  /** Told when the worker died, with the reason in words and where it died: nothing runs any more. */
  readonly onCrash: (because: string, restarts: number, stack: string) => void;
  /** Told when another worker is there, which runs nothing yet. */
  readonly onRestart: () => void;
  /** Told when a worker that was started again has run for a while. */
  readonly onRecovered: () => void;
}

/** A worker that ran this long has recovered. */
const recoveredMs = 60_000;
/** A bundle that takes longer to load than this is one that the worker hangs on. */
const applyMs = 120_000;
const answerMs = 10_000;

export function keepPipeline(options: KeepOptions): KeptPipeline {
  const { log, onCrash, onRestart, onRecovered, ...pipelineOptions } = options;
  let pipeline: Pipeline | undefined = startPipeline(pipelineOptions);
  let failures = 0;
  let restarts = 0;
  let isStopping = false;
  let killedBecause: string | undefined;
  const asker = createAsker();
  let timer: NodeJS.Timeout | undefined;

  const watch = (worker: Pipeline): void => {
    void worker.exited.then(({ code, error }) => {
      if (isStopping) return;
      pipeline = undefined;
      asker.forget();
      failures += 1;
      restarts += 1;
      const because = killedBecause ?? error?.message ?? `it ended with code ${code}`;
      killedBecause = undefined;
      const delayMs = failures === 1 ? 0 : retryDelayMs(failures, Math.random());
      log.error({ err: error, restarts, delayMs }, "the pipeline's worker died, starting another");
      clearTimeout(timer);
      timer = setTimeout(restart, delayMs);
      onCrash(because, restarts, error?.stack ?? "");
    });
  };
  function restart(): void {
    pipeline = startPipeline(pipelineOptions);
    watch(pipeline);
    timer = setTimeout(() => {
      failures = 0;
      onRecovered();
    }, recoveredMs);
    onRestart();
  }
  watch(pipeline);
  const kill = (because: string): void => {
    killedBecause = because;
    pipeline?.kill();
  };
  return {
    kill,
    forgive() {
      failures = 0;
      if (pipeline !== undefined || isStopping) return;
      clearTimeout(timer);
      restart();
    },
    ...candidatesIn(() => pipeline),
    apply: (request, facts) => load(pipeline, (worker) => worker.apply(request, facts), kill),
    render: (request, facts) => load(pipeline, (worker) => worker.render(request, facts), kill),
    runsElsewhere: (digest) => pipeline?.runsElsewhere(digest),
    stats: () => asker.ask(pipeline),
    restarts: () => restarts,
    async stop() {
      isStopping = true;
      clearTimeout(timer);
      await pipeline?.stop();
    },
  };
}

/** What a worker is asked about candidates; one that is not there, or dies over it, gives no answer. */
function candidatesIn(
  pipeline: () => Pipeline | undefined,
): Pick<KeptPipeline, "beginShadow" | "endShadow" | "shadowFigures" | "backtestSource"> {
  return {
    beginShadow: async (request) =>
      pipeline()
        ?.beginShadow(request)
        .catch(() => undefined),
    endShadow: async () =>
      pipeline()
        ?.endShadow()
        .catch(() => undefined),
    shadowFigures: async () =>
      pipeline()
        ?.shadowFigures()
        .catch(() => undefined),
    backtestSource: async () =>
      pipeline()
        ?.backtestSource()
        .catch(() => undefined),
  };
}

/** Has the worker load a bundle; one that hangs over it is ended. */
async function load<T>(
  pipeline: Pipeline | undefined,
  work: (worker: Pipeline) => Promise<T>,
  kill: (because: string) => void,
): Promise<T> {
  if (pipeline === undefined) throw new AgentError("pipeline/away", "The pipeline is being started again");
  const hanging = setTimeout(() => kill(`it loaded for ${applyMs / 1000} s and was not done`), applyMs);
  try {
    return await work(pipeline);
  } catch (error) {
    const why = (error as Error).message;
    throw new AgentError("pipeline/crashed", `The pipeline died while it loaded the bundle: ${why}`);
  } finally {
    clearTimeout(hanging);
  }
}

/** Asks one question at a time: a worker that hangs gets no queue of them. */
function createAsker() {
  let asked: Promise<PipelineStats | undefined> | undefined;
  return {
    forget: () => {
      asked = undefined;
    },
    async ask(pipeline: Pipeline | undefined): Promise<PipelineStats | undefined> {
      asked ??= pipeline?.stats().catch(() => undefined);
      const answer = await Promise.race([asked, pause(answerMs, "late" as const, { ref: false })]);
      if (answer === "late") return undefined;
      asked = undefined;
      return answer;
    },
  };
}
