import type { Logger } from "pino";

/** What became of the last activation of a loop; for `/readyz`, metrics and people. */
export interface LoopStatus {
  readonly name: string;
  readonly activations: number;
  readonly failures: number;
  readonly isRunning: boolean;
  readonly lastStartedAt: Date | undefined;
  readonly lastSeconds: number | undefined;
  /** The message of the last activation's error; undefined when it went well. */
  readonly lastError: string | undefined;
}

export interface Loop {
  /** Runs soon. While an activation runs, any number of nudges make one more, after a pause as long as it took. */
  nudge(): void;
  status(): LoopStatus;
  /** No new activation; waits for the running one. */
  stop(): Promise<void>;
}

export interface LoopOptions {
  readonly name: string;
  /** Takes no input on purpose: it acts on what the store says. */
  readonly activate: () => Promise<void>;
  readonly everyMs: number;
  readonly log: Logger;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
}

function neverRun(name: string): LoopStatus {
  return {
    name,
    activations: 0,
    failures: 0,
    isRunning: false,
    lastStartedAt: undefined,
    lastSeconds: undefined,
    lastError: undefined,
  };
}

const restShare = 3;

/**
 * Drives one reconciler: by a timer with jitter, so that several servers do not march in step, and by nudges. One
 * activation at a time. An activation that fails is logged and tried again at the next turn.
 */
export function startLoop(options: LoopOptions): Loop {
  const random = options.random ?? Math.random;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let isNudged = false;
  let isStopped = false;
  let restsUntil = 0;
  let state = neverRun(options.name);

  async function activate(): Promise<void> {
    const startedAt = performance.now();
    state = { ...state, activations: state.activations + 1, isRunning: true, lastStartedAt: new Date() };
    let lastError: string | undefined;
    try {
      await options.activate();
    } catch (error) {
      lastError = error instanceof Error ? error.message : String(error);
      options.log.warn({ err: error, loop: options.name }, "activation failed, will try again");
    }
    const failures = state.failures + (lastError === undefined ? 0 : 1);
    const lastSeconds = (performance.now() - startedAt) / 1000;
    state = { ...state, failures, isRunning: false, lastSeconds, lastError };
  }

  function run(): void {
    if (isStopped) return;
    clearTimeout(timer);
    isNudged = false;
    running = activate().then(() => {
      running = undefined;
      // It rests longer than it worked, so that reports of thousands of agents take a quarter of a core at most.
      restsUntil = performance.now() + Math.min(restShare * (state.lastSeconds ?? 0) * 1000, options.everyMs);
      if (isNudged) runRested();
      else runIn(options.everyMs * (0.75 + random() / 2));
    });
  }

  function runIn(ms: number): void {
    clearTimeout(timer);
    if (!isStopped) timer = setTimeout(run, ms);
  }

  function runRested(): void {
    const restMs = restsUntil - performance.now();
    if (restMs > 0) runIn(restMs);
    else run();
  }

  run();
  return {
    nudge: () => {
      if (running === undefined) runRested();
      else isNudged = true;
    },
    status: () => state,
    stop: async () => {
      isStopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}
