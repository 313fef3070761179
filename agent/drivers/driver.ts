import type { Kind } from "../domain/apply-plan.ts";
import type {
  ApplyFailure,
  BundleSource,
  OutputReport,
  PipelineFacts,
  RulesParts,
} from "../pipeline/pipeline.ts";

/** A bundle that a driver is to run. */
export interface DriverRequest {
  readonly source: BundleSource;
  readonly facts: PipelineFacts;
  /** Whether it was proved here before: such a one is put in place also while the program does not answer. */
  readonly isKnown: boolean;
}

/** A program that is not there to ask, or does not show what it runs: time, or whoever runs it, may heal that. */
export interface DriverAway {
  readonly ok: "away";
  readonly reason: string;
  readonly detail: string;
}

export type DriverResult =
  | { readonly ok: true; readonly digest: string; readonly parts?: RulesParts }
  | ApplyFailure
  | DriverAway;

/** What a driver knows of its program. */
export interface DriverReport {
  readonly kind: Kind;
  /** As in the setting that chooses it. */
  readonly name: string;
  /** The bundle that it was proved to run last, "sha256:..."; it may have gone since: see `fault`. */
  readonly digest: string | undefined;
  /** What is wrong with the program right now, in words; undefined when it shows that it runs the bundle. */
  readonly fault: string | undefined;
  /** The version of the engine that it runs rules with, as far as it is known. */
  readonly engine?: string;
  /** How often it went away, or began anew, without being told to, since the agent started. */
  readonly falls: number;
  /** Cumulative over restarts of the program. */
  readonly counters: DriverCounters;
  /** Outputs that the program has instead of the agent. */
  readonly outputs: readonly OutputReport[];
  /** Things that people should know, by code. */
  readonly notes: ReadonlyMap<string, string>;
}

/** What the program counts of what the pipeline of the agent does not see. */
export interface DriverCounters {
  readonly events: number;
  readonly bytes: number;
  readonly dropped: number;
  readonly lagMs: number;
}

/** Runs bundles of one kind in a program beside the agent. */
export interface Driver {
  readonly kind: Kind;
  readonly name: string;
  /** Puts a bundle in place and takes the program's own proof. What does not get that far leaves what ran, or puts it back. */
  apply(request: DriverRequest): Promise<DriverResult>;
  report(): DriverReport;
  stop(): void;
}

/** Where a driver says what happens. */
export interface DriverPorts {
  /** A line for the log, and for the reason of a failure. */
  readonly onProblem: (code: string, message: string) => void;
  /** Told after a look that brought something new. */
  readonly onLook: () => void;
}
