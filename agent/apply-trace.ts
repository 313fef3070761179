import type { Logger } from "pino";
import {
  isRecorded,
  openTraces,
  parseTraceparent,
  type Attributes,
  type Span,
  type Traceparent,
  type Traces,
} from "#traces";
import type { Config } from "./config.ts";
import type { AttemptRecord } from "./current.ts";
import type { Target } from "./domain/apply-plan.ts";
import type { ApplyResult } from "./pipeline/pipeline.ts";
import { agentVersion } from "./version.ts";

/** At its end an agent waits so long for the collector to take what is left. */
export const tracesMs = 2_000;

/** Traces of this agent, which are off unless its environment says otherwise. */
export function openAgentTraces({ traces: settings }: Config, log: Logger): Promise<Traces> {
  return openTraces({ settings, version: agentVersion, onTrouble: (message) => log.warn(message) });
}

/** What the trace works with. */
export interface ApplyTracePorts {
  readonly traces: Traces;
  /** Who this agent is. */
  readonly who: () => { readonly clusterId: string; readonly clusterName: string; readonly agentId: string };
  /** Grows with every change of what a report would say. */
  readonly reportVersion: () => number;
  /** What a report would prove now of a kind: hex SHA-256. */
  readonly running: (kind: Target["kind"]) => string | undefined;
}

/** What of an answer of the server is in a trace. */
export interface TakenAssignment {
  readonly traceparent: string;
  /** Undefined when it was refused, or is the one that was there. */
  readonly generation: number | undefined;
  readonly fromMs: number;
}

/** Goes on with the trace of a rollout: from the assignment that came, through what is tried, to the word of it. */
export interface ApplyTrace {
  /** An assignment was taken in. One without a trace ends the one before. */
  took(taken: TakenAssignment): void;
  /** An attempt to run what the assignment of a generation names; `outcome` is asked when the work is over. */
  attempt<T>(
    target: Target,
    generation: number,
    outcome: () => AttemptRecord | undefined,
    work: (steps: AttemptSteps) => Promise<T>,
  ): Promise<T>;
  /** An attempt is decided, and the next report says so. */
  decided(what: "proof" | "refusal"): void;
  /** Where a report that is said now stands in the trace; "" for nowhere. */
  telling(): string;
  /** The server has the report of this version. */
  told(version: number): void;
}

/** The steps of one attempt. */
export interface AttemptSteps {
  step<T>(name: string, work: () => T | Promise<T>): Promise<T>;
  /** What the pipeline was handed, from then to its answer. */
  load(work: () => Promise<ApplyResult | undefined>): Promise<ApplyResult | undefined>;
}

/** Of one assignment so many attempts are traced; what is tried again for days says nothing new. */
const attemptsMax = 20;

const untracedSteps: AttemptSteps = { step: async (_name, work) => work(), load: (work) => work() };

export function createApplyTrace({ traces, who, reportVersion, running }: ApplyTracePorts): ApplyTrace {
  let assigned: { readonly generation: number; readonly context: Traceparent; attempts: number } | undefined;
  let trying: { readonly span: Span; readonly target: Target; isTold: boolean } | undefined;
  let telling: { readonly span: Span; readonly sinceVersion: number } | undefined;
  const facts = () => attributesOf(who());
  const tell = (what: "proof" | "refusal", sinceVersion: number): void => {
    if (trying === undefined || trying.isTold) return;
    trying.isTold = true;
    telling?.span.end();
    const parent = trying.span.context;
    const span = traces.begin(`tell ${what}`, { kind: "producer", parent, attributes: facts() });
    telling = { span, sinceVersion };
  };
  return {
    took({ traceparent, generation, fromMs }) {
      const parent = traces.isOn ? parseTraceparent(traceparent) : undefined;
      // The server offers it again until it hears that it is here, and then without a trace.
      const attempts = assigned?.generation === generation ? (assigned?.attempts ?? 0) : 0;
      if (generation !== undefined && assigned?.generation !== generation) assigned = undefined;
      if (parent === undefined || !isRecorded(parent)) return;
      const error = generation === undefined ? "the assignment was refused" : undefined;
      const times = { startMs: fromMs, endMs: Date.now() };
      const taken = { kind: "consumer", parent, attributes: facts(), error, ...times } as const;
      const context = traces.record({ ...taken, name: "take assignment" });
      if (context === undefined || generation === undefined) return;
      assigned = { generation, context, attempts };
    },
    async attempt(target, generation, outcome, work) {
      const isTraced = assigned?.generation === generation && assigned.attempts < attemptsMax;
      if (assigned === undefined || !isTraced) return work(untracedSteps);
      assigned.attempts += 1;
      const span = traces.begin("attempt", { parent: assigned.context, attributes: facts() });
      span.note({ "falconry.generation": generation, ...bundleOf(target) });
      trying = { span, target, isTold: false };
      try {
        return await work(stepsOf(traces, span));
      } finally {
        trying = undefined;
        endAs(span, outcome());
      }
    },
    decided(what) {
      tell(what, reportVersion());
    },
    telling() {
      // What runs is reported as soon as it runs, which may be before the attempt is written down.
      const target = trying?.target;
      if (target !== undefined && running(target.kind) === target.sha256) tell("proof", reportVersion() - 1);
      const context = telling?.span.context ?? trying?.span.context;
      return context !== undefined && isRecorded(context) ? context : "";
    },
    told(version) {
      if (telling === undefined || version <= telling.sinceVersion) return;
      telling.span.end();
      telling = undefined;
    },
  };
}

function attributesOf(who: ReturnType<ApplyTracePorts["who"]>): Attributes {
  return {
    "falconry.cluster.id": who.clusterId,
    "falconry.cluster.name": who.clusterName,
    "falconry.agent.id": who.agentId,
  };
}

function bundleOf({ kind, sha256, path }: Target): Attributes {
  return {
    "falconry.bundle.kind": kind,
    "falconry.bundle.digest": `sha256:${sha256}`,
    "falconry.bundle.path": path,
  };
}

/** Ends the span of an attempt as it is written down that it ended. */
function endAs(span: Span, record: AttemptRecord | undefined): void {
  const { phase, reason = "" } = record ?? {};
  if (phase !== undefined) span.note({ "falconry.attempt.phase": phase });
  span.end(phase === "applied" ? undefined : reason === "" ? "it did not come to an end" : reason);
}

function stepsOf(traces: Traces, attempt: Span): AttemptSteps {
  const parent = attempt.context;
  return {
    async step(name, work) {
      const span = traces.begin(name, { parent });
      try {
        const result = await work();
        span.end();
        return result;
      } catch (error) {
        span.end(codeOf(error));
        throw error;
      }
    },
    async load(work) {
      const startMs = Date.now();
      const result = await work();
      const endMs = Date.now();
      if (result?.ok !== true) {
        const error = result === undefined ? "the pipeline is gone" : result.reason;
        traces.record({ name: "validate", parent, startMs, endMs, error });
        return result;
      }
      // A program beside the agent does both in one.
      const validatedMs = Math.min(endMs, startMs + (result.validatedMs ?? endMs - startMs));
      traces.record({ name: "validate", parent, startMs, endMs: validatedMs });
      traces.record({ name: "apply", parent, startMs: validatedMs, endMs });
      return result;
    },
  };
}

/** The stable code of a failure; its words may hold what somebody sent. */
function codeOf(error: unknown): string {
  const { code } = error as { readonly code?: unknown };
  return typeof code === "string" ? code : "failed";
}
