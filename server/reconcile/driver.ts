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
  /** Runs soon. While an activation runs, any number of nudges make one more, after a rest. */
  nudge(): void;
  /** Runs now, or right after the activation that runs: for a person, who does not wait for a rest to end. */
  urge(): void;
  status(): LoopStatus;
  /** No new activation; waits for the running one. */
  stop(): Promise<void>;
}

export interface LoopOptions {
  readonly name: string;
  /** Takes no input on purpose: it acts on what the store says. */
  readonly activate: () => Promise<void>;
  readonly everyMs: number;
  /**
   * It rests longer than it worked, so that it takes a quarter of a core at most, but no longer than this: a database that was stuck
   * for a minute is looked at again soon. As long as the timer when left out.
   */
  readonly restMsMax?: number | undefined;
  readonly log: Logger;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
  /** A clock that never goes back. */
  readonly steadyMs?: () => number;
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

/** The message of what went wrong; undefined when nothing did. */
async function tryOnce({ activate, log, name }: LoopOptions): Promise<string | undefined> {
  try {
    await activate();
    return undefined;
  } catch (error) {
    log.warn({ err: error, loop: name }, "activation failed, will try again");
    return error instanceof Error ? error.message : String(error);
  }
}

const restShare = 3;

/**
 * Drives one reconciler: by a timer with jitter, so that several servers do not march in step, by nudges, and by people. One
 * activation at a time. An activation that fails is logged and tried again at the next turn.
 */
export function startLoop(options: LoopOptions): Loop {
  const { random = Math.random, steadyMs = () => performance.now() } = options;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let [isNudged, isUrged] = [false, false];
  let isStopped = false;
  let restsUntil = 0;
  let state = neverRun(options.name);

  async function activate(): Promise<void> {
    const startedAt = steadyMs();
    state = { ...state, activations: state.activations + 1, isRunning: true, lastStartedAt: new Date() };
    const lastError = await tryOnce(options);
    const failures = state.failures + (lastError === undefined ? 0 : 1);
    const lastSeconds = (steadyMs() - startedAt) / 1000;
    state = { ...state, failures, isRunning: false, lastSeconds, lastError };
  }

  function run(): void {
    if (isStopped) return;
    clearTimeout(timer);
    [isNudged, isUrged] = [false, false];
    running = activate().then(() => {
      running = undefined;
      const restMs = Math.min(
        restShare * (state.lastSeconds ?? 0) * 1000,
        options.restMsMax ?? options.everyMs,
      );
      restsUntil = steadyMs() + restMs;
      if (isUrged) run();
      else if (isNudged) runRested();
      else runIn(Math.max(restMs, options.everyMs * (0.75 + random() / 2)));
    });
  }

  function runIn(ms: number): void {
    clearTimeout(timer);
    if (!isStopped) timer = setTimeout(run, ms);
  }

  function runRested(): void {
    const restMs = restsUntil - steadyMs();
    if (restMs > 0) runIn(restMs);
    else run();
  }

  run();
  return {
    nudge: () => {
      if (running === undefined) runRested();
      else isNudged = true;
    },
    urge: () => {
      if (running === undefined) run();
      else isUrged = true;
    },
    status: () => state,
    stop: async () => {
      isStopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}
