import type { AllowList, MonitorConfig } from "#shipper";
import type { SpanCounts } from "#traces";
import type { DriverReport } from "../drivers/driver.ts";
import type { ApplyTimes } from "../apply-times.ts";
import type { Histogram } from "../domain/histogram.ts";
import type { ResponseCandidate, ResponseStats } from "../respond/responder.ts";
import type { PipelineAlert } from "./batch.ts";
import type { RulesElsewhere } from "./elsewhere.ts";
import type { FilterStats } from "./filter.ts";
import type { RingStats } from "./event-ring.ts";
import type { ApplyFailure, BundleSource, PipelineFacts } from "./load-bundle.ts";
import type { RulesParts } from "./load-composition.ts";
import type { InputStats } from "./input.ts";
import type { OutputReport } from "./output.ts";
import type { RuleGuard } from "./protect.ts";
import type { RenderRequest, RenderResult } from "./render-bundle.ts";
import type { ShadowFigures } from "./shadow-counts.ts";

/** What the worker is started with. */
export interface WorkerOptions {
  /** Holds checkpoints, queues and dead letters; nobody else writes to it. */
  readonly stateDir: string;
  /** What this agent may read, write and send to, whatever anybody signed. */
  readonly allowList: AllowList & RuleGuard;
  /** Set when another program runs the rules. */
  readonly rulesElsewhere?: RulesElsewhere;
  /** Most bytes of dead letters; 256 MiB unless given. */
  readonly deadLetterBytesMax?: number;
  /** Whether files are read to their end and no further, whatever the config says: for runs that end by themselves. */
  readonly endsAtEof?: boolean;
}

export interface ApplyRequest {
  readonly rules?: BundleSource;
  readonly shipper?: BundleSource;
}

/** Digests of the bytes that the worker loaded and hashed itself. */
export interface Running {
  readonly rules?: string;
  readonly shipper?: string;
  /** What the rules are made of, when teams put layers on the bundle. */
  readonly parts?: RulesParts;
}

export type ApplyResult =
  | {
      readonly ok: true;
      readonly running: Running;
      /** How long it took to find that it may run, in milliseconds; the rest of the time went into running it. */
      readonly validatedMs?: number;
      /** What was asked for and does not run, because the program that is to run it does not answer: it is worth another try. */
      readonly away?: readonly Omit<ApplyFailure, "ok">[];
    }
  | ApplyFailure;

/** Something a person or the server should know of. */
export interface PipelineProblem {
  /** Stable, such as "output/retry", "tail/truncated", "detect/no-rules". */
  readonly code: string;
  readonly message: string;
}

/** Counters are cumulative since the worker began; rates are differences. */
export interface PipelineStats {
  /** Records read. */
  readonly events: number;
  /** Bytes read, of records and of what was set aside. */
  readonly bytes: number;
  readonly alerts: number;
  /**
   * Dead letter files that had to go to keep the bound, and records that a full queue let go where the config says so.
   * Nothing else is ever dropped but by filters whose business it is: see `filters`.
   */
  readonly dropped: number;
  /** Lines and records set aside in the dead letter folder. */
  readonly parked: number;
  /** Records that the rules could not look at; they went everywhere else. */
  readonly undetected: number;
  /** Truncations without warning, and files removed before they were read: each may have lost lines. */
  readonly truncations: number;
  readonly lostFiles: number;
  /** Age of the oldest record that is not delivered, by its event time; 0 when caught up. */
  readonly lagMs: number;
  /** Whether everything that is there now was read and delivered. */
  readonly atEnd: boolean;
  /** Whether, besides, no input will ever have more: the end of a run that has one. */
  readonly ended: boolean;
  /** Why the first input that does not read waits, in words; undefined when all read. Each input says its own. */
  readonly waitingFor: string | undefined;
  /** Sources of enabled rules that see no events, because no input gives them any. */
  readonly unfedSources: readonly string[];
  /** Time spent in rules. */
  readonly detectionUs: number;
  /** From the time of an event to the alert about it. */
  readonly detectionDelay: Histogram;
  /** How long bundles took to be applied; absent where nobody measures it. */
  readonly applies?: ApplyTimes;
  /** What was done about alerts; absent where nothing can be. */
  readonly responses?: ResponseStats;
  /** What became of the spans of traces. */
  readonly spans?: SpanCounts;
  readonly running: Running;
  /** Where the config wants these figures to be served. */
  readonly monitor: MonitorConfig | undefined;
  readonly inputs: readonly InputStats[];
  /** In the order in which they apply. */
  readonly filters: readonly FilterStats[];
  readonly outputs: readonly OutputReport[];
  /** Programs beside the agent that run bundles; absent when there are none. */
  readonly drivers?: readonly DriverReport[];
  /** The events kept for backtests; undefined when none are. */
  readonly ring: RingStats | undefined;
}

/** A candidate to evaluate beside the rules that run. */
export interface ShadowRequest {
  readonly rules: BundleSource;
  /** Milliseconds since 1970 when it is over. */
  readonly untilMs: number;
}

export type ShadowResult = { readonly ok: true } | ApplyFailure;

/** What a backtest replays: the events that are kept, and the rules that run on them now. */
export interface BacktestSource {
  /** Holds the rings. */
  readonly folder: string;
  readonly rules: BundleSource;
  readonly facts: PipelineFacts;
}

export type BacktestSourceResult = { readonly ok: true; readonly source: BacktestSource } | ApplyFailure;

export type ToWorker =
  | {
      readonly kind: "apply";
      readonly id: number;
      readonly request: ApplyRequest;
      readonly facts: PipelineFacts;
    }
  | {
      readonly kind: "render";
      readonly id: number;
      readonly request: RenderRequest;
      readonly facts: PipelineFacts;
    }
  /** The bundle that another program was proved to run. */
  | { readonly kind: "elsewhere"; readonly digest: string }
  | { readonly kind: "stats"; readonly id: number }
  | { readonly kind: "shadow"; readonly id: number; readonly request: ShadowRequest }
  | { readonly kind: "end-shadow"; readonly id: number }
  | { readonly kind: "shadow-figures"; readonly id: number }
  | { readonly kind: "backtest-source"; readonly id: number }
  | { readonly kind: "stop"; readonly id: number }
  | { readonly kind: "ack"; readonly batch: number; readonly failure?: string };

type Answer =
  | ApplyResult
  | PipelineStats
  | RenderResult
  | ShadowResult
  | ShadowFigures
  | BacktestSourceResult
  | undefined
  | true;

export type FromWorker =
  | { readonly kind: "answer"; readonly id: number; readonly value: Answer }
  | { readonly kind: "alerts"; readonly batch: number; readonly alerts: readonly PipelineAlert[] }
  | { readonly kind: "respond"; readonly candidate: ResponseCandidate; readonly missed: number }
  | { readonly kind: "problem"; readonly problem: PipelineProblem };
