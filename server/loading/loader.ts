import { refuse, type Outcome } from "../domain/refusal.ts";
import type { LoadingLimits } from "../limits.ts";
import { beginPiece, type PieceEnd } from "./piece.ts";
import { createThreads, type Threads } from "./threads.ts";
import type { WorkInput, WorkName, WorkOutput } from "./works.ts";

/** Why bundles were not loaded; the label of the metric. */
export type LoadRefusal = "line-full" | "too-long" | "too-much-memory" | "died";

export interface LoaderOptions {
  readonly limits: LoadingLimits;
  /** Threads of somebody else, who ends them; otherwise it has its own. */
  readonly threads?: Threads;
  readonly onRefused: (reason: LoadRefusal) => void;
}

/** Loads what bundles hold, in threads, so that nothing else waits for it. */
export interface BundleLoader {
  /**
   * Refused with `unavailable` when too many wait, and with `over-limit` when it took too long or too much memory; its thread
   * is ended then, and the next work gets another. Rejects when the signal is aborted, which ends the work as well, and when
   * the work has a bug.
   */
  run<N extends WorkName>(
    name: N,
    input: WorkInput<N>,
    signal?: AbortSignal,
  ): Promise<Outcome<WorkOutput<N>>>;
  readonly inWork: number;
  readonly waiting: number;
  /** Ends what is in work and refuses what waits. */
  readonly stop: () => Promise<void>;
}

/** What is pushed and what is stored have a thread each: however long a push takes, plans and gates go on. */
const laneOf = {
  checkPush: "pushes",
  checkLayerPush: "pushes",
  compareBundles: "stored",
  compareLayers: "stored",
  ruleNames: "stored",
} as const satisfies Record<WorkName, string>;

export function createBundleLoader(options: LoaderOptions): BundleLoader {
  const { limits, onRefused } = options;
  const ports = { limits, onRefused, threads: options.threads ?? createThreads(limits.memoryMiBMax) };
  const lanes = { pushes: new Lane(ports), stored: new Lane(ports) };
  const each = Object.values(lanes);
  return {
    run: async <N extends WorkName>(name: N, input: WorkInput<N>, signal?: AbortSignal) =>
      (await lanes[laneOf[name]].run({ name, input }, signal)) as Outcome<WorkOutput<N>>,
    get inWork() {
      return each.filter((lane) => lane.isBusy).length;
    },
    get waiting() {
      return each.reduce((sum, lane) => sum + lane.waiting, 0);
    },
    stop: async () => {
      for (const lane of each) lane.stop();
      if (options.threads === undefined) await ports.threads.stop();
    },
  };
}

interface Job extends PromiseWithResolvers<Outcome<unknown>> {
  readonly message: { readonly name: WorkName; readonly input: unknown };
}

const retryMs = 5_000;

/** Does one piece of work after the other, in the order in which they came. */
class Lane {
  readonly #ports: Required<LoaderOptions>;
  #waiting: Job[] = [];
  #current: { readonly job: Job; readonly stop: () => void } | undefined;

  constructor(ports: Required<LoaderOptions>) {
    this.#ports = ports;
  }

  get isBusy(): boolean {
    return this.#current !== undefined;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  async run(message: Job["message"], signal: AbortSignal | undefined): Promise<Outcome<unknown>> {
    signal?.throwIfAborted();
    const { limits, onRefused } = this.#ports;
    if (this.#waiting.length >= limits.waitingMax) {
      onRefused("line-full");
      const why = `The server is loading bundles, and ${limits.waitingMax} more calls wait for that: try again in ${retryMs / 1000} s`;
      return refuse({ kind: "unavailable", why, retryAfterMs: retryMs });
    }
    const job: Job = { ...Promise.withResolvers<Outcome<unknown>>(), message };
    const abort = () => {
      job.reject(signal?.reason);
      this.#drop(job);
    };
    signal?.addEventListener("abort", abort, { once: true });
    this.#waiting.push(job);
    this.#next();
    try {
      return await job.promise;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  stop(): void {
    const jobs = [...this.#waiting, ...(this.#current === undefined ? [] : [this.#current.job])];
    for (const job of jobs) {
      job.resolve(refuse({ kind: "unavailable", why: "The server is stopping" }));
      this.#drop(job);
    }
  }

  #next(): void {
    if (this.#current !== undefined) return;
    const job = this.#waiting.shift();
    if (job === undefined) return;
    const { threads, limits } = this.#ports;
    const thread = threads.take();
    const stop = beginPiece(thread, job.message, limits.workMs, (end) => {
      if (end.kind === "done" || end.kind === "failed") threads.give(thread);
      this.#current = undefined;
      this.#settle(job, end);
      this.#next();
    });
    this.#current = { job, stop };
  }

  #drop(job: Job): void {
    this.#waiting = this.#waiting.filter((one) => one !== job);
    if (this.#current?.job === job) this.#current.stop();
  }

  #settle({ resolve, reject }: Job, end: PieceEnd): void {
    const { limits, onRefused } = this.#ports;
    const smaller = "make it smaller: fewer or shorter lists, fewer layers, or fewer bundles at once";
    switch (end.kind) {
      case "done":
        return resolve(end.outcome as Outcome<unknown>);
      case "failed":
        return reject(end.error);
      case "stopped":
        // Whoever stopped it has said why.
        return undefined;
      case "died":
        onRefused("died");
        return reject(new Error("The thread that loads bundles died", { cause: end.error }));
      case "too-long": {
        onRefused("too-long");
        const why = `Loading what the bundles hold was ended after ${limits.workMs / 1000} s: ${smaller}`;
        return resolve(refuse({ kind: "over-limit", why }));
      }
      case "too-much-memory": {
        onRefused("too-much-memory");
        const why = `Loading what the bundles hold takes more than ${limits.memoryMiBMax} MiB of memory: ${smaller}`;
        return resolve(refuse({ kind: "over-limit", why }));
      }
    }
  }
}
