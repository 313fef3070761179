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
  /** The same for news of which more will come: after a longer rest. */
  remind(): void;
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
   * It rests longer than it worked, so that it takes a quarter of a core at most, and a tenth when nobody nudges, but no longer than this:
   * a database that was stuck for a minute is looked at again soon. As long as the timer when left out.
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

/** How many times as long as it worked a loop rests before it does what it was asked. */
const restShare = { urge: 0, nudge: 3, remind: 9 } as const;
type Wish = keyof typeof restShare;

/**
 * Drives one reconciler: by a timer with jitter, so that several servers do not march in step, by nudges, and by people. One
 * activation at a time. An activation that fails is logged and tried again at the next turn.
 */
export function startLoop(options: LoopOptions): Loop {
  const { random = Math.random, steadyMs = () => performance.now() } = options;
  let [timer, running]: [NodeJS.Timeout?, Promise<void>?] = [];
  /** What was asked for during an activation. */
  const wishes = new Set<Wish>();
  let isStopped = false;
  let [endedMs, workedMs, dueMs] = [0, 0, Number.POSITIVE_INFINITY];
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
    dueMs = Number.POSITIVE_INFINITY;
    wishes.clear();
    running = activate().then(() => {
      running = undefined;
      endedMs = steadyMs();
      workedMs = (state.lastSeconds ?? 0) * 1000;
      const asked = Math.min(...[...wishes].map(restsUntil));
      const everyMs = options.everyMs * (0.75 + random() / 2);
      runAt(wishes.size > 0 ? asked : Math.max(restsUntil("remind"), endedMs + everyMs));
    });
  }

  function restsUntil(wish: Wish): number {
    return endedMs + Math.min(restShare[wish] * workedMs, options.restMsMax ?? options.everyMs);
  }

  function ask(wish: Wish): void {
    if (running === undefined) runAt(restsUntil(wish));
    else wishes.add(wish);
  }

  /** Unless it is due before that anyway. */
  function runAt(atMs: number): void {
    if (isStopped || atMs >= dueMs) return;
    clearTimeout(timer);
    dueMs = atMs;
    const inMs = atMs - steadyMs();
    if (inMs <= 0) run();
    else timer = setTimeout(run, inMs);
  }

  run();
  return {
    nudge: () => ask("nudge"),
    remind: () => ask("remind"),
    urge: () => ask("urge"),
    status: () => state,
    stop: async () => {
      isStopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}
