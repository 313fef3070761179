import { performance } from "node:perf_hooks";
import type { CurrentStore } from "./current.ts";
import { kinds } from "./domain/apply-plan.ts";
import type { Kind, Target } from "./domain/apply-plan.ts";
import { beginSoak, isDead, judgeSoak, noteDeath, openTrial, watch } from "./domain/trial.ts";
import type { Look, Soak, SoakBounds, SoakVerdict, Trial } from "./domain/trial.ts";
import { watchLogs } from "./log-growth.ts";
import type { LogGrowth } from "./log-growth.ts";
import type { LogTail } from "./log-tail.ts";
import type { PipelineStats } from "./pipeline/pipeline.ts";

/** What the trials work with. */
export interface TrialPorts {
  readonly current: CurrentStore;
  readonly tail: LogTail;
  /** Where the pipeline keeps its positions. */
  readonly pipelineDir: string;
  readonly bounds: SoakBounds;
  /** Ends a worker that does not answer any more. */
  readonly kill: (because: string) => void;
  /** Whether a program beside the agent runs bundles of a kind. */
  readonly isElsewhere: (kind: Kind) => boolean;
  /** Told when a soak was decided. */
  readonly onDecided: () => void;
}

/** The bundles that run or are tried and are not last-known-good yet: what they died of, and how their soak goes. */
export interface Trials {
  of(kind: Kind): Trial | undefined;
  /** Writes down, before a worker gets the bundle, that it does. */
  begin(target: Target, generation: number): void;
  /** The worker runs it: the soak begins with the next look. */
  proved(kind: Kind): void;
  /** A new worker is about to get what was proved before. */
  reopen(): void;
  end(kind: Kind): void;
  /** The worker died with whatever was on trial. */
  died(because: string): void;
  /** The agent ends in good order. */
  closed(): void;
  verdict(kind: Kind): SoakVerdict;
  /** What the pipeline says, about once a second; undefined when it did not answer. */
  look(stats: PipelineStats | undefined): void;
}

/** A worker with a bundle on trial that answers nothing for so long is taken for dead. */
const answerMs = 60_000;
const waits: SoakVerdict = { kind: "waits" };

/** Counts a death of the agent itself for each trial that was open when it ended. */
export function openTrials(ports: TrialPorts): Trials {
  const book = new Book(ports);
  book.died("the agent ended without stopping first: it was killed, or took too much memory");
  return book;
}

class Book implements Trials {
  readonly #ports: TrialPorts;
  readonly #soaks = new Map<Kind, Soak>();
  readonly #verdicts = new Map<Kind, SoakVerdict>();
  readonly #before = new Map<Kind, Look>();
  #logs: LogGrowth | undefined;
  #last: Look | undefined;
  #answeredMs = performance.now();

  constructor(ports: TrialPorts) {
    this.#ports = ports;
  }

  of(kind: Kind): Trial | undefined {
    return this.#ports.current.get().trials[kind];
  }

  begin({ kind, sha256 }: Target, generation: number): void {
    this.#forget(kind);
    const { current, tail, pipelineDir } = this.#ports;
    if (current.get().running[kind]?.sha256 === sha256) return this.end(kind);
    const before = this.of(kind);
    if (before?.sha256 !== sha256) tail.clear();
    this.#logs = watchLogs(pipelineDir);
    if (this.#last !== undefined) this.#before.set(kind, this.#last);
    this.#set(kind, openTrial(before, sha256, generation));
    this.#answeredMs = performance.now();
  }

  proved(kind: Kind): void {
    const trial = this.of(kind);
    if (trial !== undefined && trial.sinceMs === undefined) {
      this.#set(kind, { ...trial, sinceMs: Date.now() });
    }
  }

  reopen(): void {
    this.#change((trial) =>
      trial.sinceMs === undefined || isDead(trial) ? trial : { ...trial, isOpen: true },
    );
    this.#logs = watchLogs(this.#ports.pipelineDir);
    this.#answeredMs = performance.now();
  }

  end(kind: Kind): void {
    this.#forget(kind);
    if (this.of(kind) !== undefined) this.#set(kind, undefined);
  }

  died(because: string): void {
    for (const kind of kinds) this.#forget(kind);
    this.#last = undefined;
    this.#change((trial, kind) => {
      // What a program beside the agent was proved to run does not kill workers of the agent.
      const isOther = this.#ports.isElsewhere(kind) && trial.sinceMs !== undefined;
      return trial.isOpen && !isOther ? noteDeath(trial, because) : trial;
    });
    if (kinds.some((kind) => this.of(kind) !== undefined)) this.#ports.tail.add(`died: ${because}`);
  }

  closed(): void {
    this.#change((trial) => ({ ...trial, isOpen: false }));
  }

  verdict(kind: Kind): SoakVerdict {
    return this.#verdicts.get(kind) ?? waits;
  }

  look(stats: PipelineStats | undefined): void {
    const nowMs = performance.now();
    const onTrial = kinds.filter((kind) => this.of(kind)?.isOpen === true);
    if (stats === undefined) {
      if (onTrial.length > 0 && nowMs - this.#answeredMs > answerMs) {
        this.#answeredMs = nowMs;
        this.#ports.kill(`it has not answered for ${answerMs / 1000} s`);
      }
      return;
    }
    this.#answeredMs = nowMs;
    const look = this.#lookOf(stats, nowMs, onTrial.length > 0);
    this.#last = look;
    for (const kind of onTrial) this.#judge(kind, look, stats);
  }

  #judge(kind: Kind, look: Look, stats: PipelineStats): void {
    const trial = this.of(kind);
    const driver = stats.drivers?.find((one) => one.kind === kind);
    // A program that went away is judged by what it was given.
    const running = driver === undefined ? stats.running[kind] : driver.digest;
    if (trial?.sinceMs === undefined || running !== `sha256:${trial.sha256}`) return;
    const soak = this.#soaks.get(kind);
    const next = soak === undefined ? beginSoak(this.#before.get(kind), look) : watch(soak, look);
    this.#soaks.set(kind, next);
    const verdict = judgeSoak(next, kind, this.#ports.bounds);
    const isNews = this.verdict(kind).kind !== verdict.kind;
    this.#verdicts.set(kind, verdict);
    if (isNews) this.#ports.onDecided();
  }

  #lookOf(stats: PipelineStats, atMs: number, isOnTrial: boolean): Look {
    const { bytes, events, detectionUs } = stats;
    if (!isOnTrial) this.#logs = undefined;
    if (bytes !== this.#last?.bytes) this.#logs?.mark();
    const isLogAhead = this.#logs?.hasGrown() ?? false;
    const outputs = stats.outputs.map(({ alias, delivered, lastError }) => ({
      alias,
      delivered,
      error: lastError,
    }));
    const programs = (stats.drivers ?? []).map(({ kind, name, fault, falls }) => ({
      kind,
      name,
      fault,
      falls,
    }));
    return { atMs, bytes, events, detectionUs, isLogAhead, outputs, programs };
  }

  #forget(kind: Kind): void {
    this.#soaks.delete(kind);
    this.#verdicts.delete(kind);
    this.#before.delete(kind);
  }

  #set(kind: Kind, trial: Trial | undefined): void {
    const { current } = this.#ports;
    const { [kind]: _, ...others } = current.get().trials;
    current.set({ ...current.get(), trials: trial === undefined ? others : { ...others, [kind]: trial } });
  }

  /** One write for all, and none when nothing changes. */
  #change(to: (trial: Trial, kind: Kind) => Trial): void {
    const { current } = this.#ports;
    const known = current.get();
    const trials = Object.fromEntries(
      kinds.flatMap((kind) => {
        const trial = known.trials[kind];
        return trial === undefined ? [] : [[kind, to(trial, kind)] as const];
      }),
    );
    const isSame = kinds.every((kind) => {
      const [a, b] = [known.trials[kind], trials[kind]];
      return a?.isOpen === b?.isOpen && a?.deaths === b?.deaths;
    });
    if (!isSame) current.set({ ...known, trials });
  }
}
